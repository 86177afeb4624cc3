# Seeds a Redmine for tests: REST on, a project, three custom fields, the bridge, an agent and a
# customer. Prints `key LOGIN API_KEY` for each. A second run changes nothing.
Setting.rest_api_enabled = '1'
Setting.login_required = '0'
Setting.default_language = 'en'
Setting.host_name = "127.0.0.1:#{ENV['REDMINE_PORT']}"
Setting.protocol = 'http'

def user(login, mail)
  user = User.find_by_login(login) || User.new(language: 'en')
  user.login = login
  user.firstname = login
  user.lastname = 'Test'
  user.mail = mail
  user.password = user.password_confirmation = "#{login}-Passw0rd" if user.new_record?
  user.status = User::STATUS_ACTIVE
  user.must_change_passwd = false
  user.save!
  user
end

bridge = user('alertbridge', 'alertbridge@alertbridge.test')
agent = user('agent1', 'agent1@alertbridge.test')
customer = user('customer', 'customer@example.com')

project = Project.find_by_identifier('monitoring') || Project.new(identifier: 'monitoring')
project.name = 'Monitoring'
project.is_public = false
project.enabled_module_names = %w[issue_tracking]
project.trackers = Tracker.all.to_a
project.save!

manager = Role.find_by(name: 'Manager')
reporter = Role.find_by(name: 'Reporter')
{ bridge => manager, agent => manager, customer => reporter }.each do |member, role|
  next if project.members.where(user_id: member.id).exists?
  Member.create!(project: project, user: member, roles: [role])
end

%w[AlertKey AlertSeverity NextUpdate].each do |name|
  field = IssueCustomField.find_by(name: name) || IssueCustomField.new(name: name, field_format: 'string')
  field.is_filter = true
  field.is_for_all = true
  field.visible = true
  field.max_length = 255
  field.trackers = Tracker.all.to_a
  field.save!
end

[bridge, agent, customer].each { |one| puts "key #{one.login} #{one.api_key}" }

#!/usr/bin/perl
# Seeds a Request Tracker for tests: queue Monitoring, the custom fields of the bridge and two for
# promised times, a bot, an agent and a customer, their rights and tokens. A second run changes nothing.
use strict;
use warnings;
use lib '/usr/local/share/request-tracker5/lib', '/usr/share/request-tracker5/lib';
use RT;
RT::LoadConfig();
RT::Init();
use RT::Queue;
use RT::User;
use RT::Group;
use RT::CustomField;
use RT::AuthToken;

my $system = RT->SystemUser;

sub made {
    my ($class, $name, %values) = @_;
    my $object = $class->new($system);
    $object->Load($name);
    return $object if $object->id;
    my ($ok, $message) = $object->Create(Name => $name, %values);
    die "$class $name: $message" unless $ok;
    return $object;
}

sub grant {
    my ($principal, $right, $object) = @_;
    return if $principal->HasRight(Right => $right, Object => $object);
    my ($ok, $message) = $principal->GrantRight(Right => $right, Object => $object);
    die "$right: $message" unless $ok;
}

my $root = RT::User->new($system);
$root->Load('root');
my %user = (
    alertbridge => made('RT::User', 'alertbridge', EmailAddress => 'alertbridge@alertbridge.test',
        RealName => 'Alert Bridge', Privileged => 1),
    agent1 => made('RT::User', 'agent1', EmailAddress => 'agent1@alertbridge.test',
        RealName => 'Agent One', Privileged => 1),
    root => $root,
);
made('RT::User', 'customer@example.com', EmailAddress => 'customer@example.com',
    RealName => 'Customer', Privileged => 0);

my @queues = (
    made('RT::Queue', 'Monitoring', Description => 'Alerts',
        CorrespondAddress => 'mon@alertbridge.test', CommentAddress => 'mon-comment@alertbridge.test'),
    made('RT::Queue', 'Plain', Description => 'A queue without fields of the bridge'),
);
my %type = (NextUpdateAt => 'DateTime-1');
for my $name (qw(AlertKey AlertSeverity NextUpdate NextUpdateAt)) {
    my $field = RT::CustomField->new($system);
    $field->LoadByName(Name => $name, LookupType => 'RT::Queue-RT::Ticket');
    next if $field->id;
    my ($ok, $message) = $field->Create(Name => $name, LookupType => 'RT::Queue-RT::Ticket',
        TypeComposite => $type{$name} || 'Freeform-1');
    die "$name: $message" unless $ok;
    $field->AddToObject($queues[0]);
}

my $everyone = RT::Group->new($system);
$everyone->LoadSystemInternalGroup('Everyone');
for my $queue (@queues) {
    for my $name (qw(alertbridge agent1)) {
        my $principal = $user{$name}->PrincipalObj;
        grant($principal, $_, $queue) for qw(SeeQueue ShowTicket ShowTicketComments CreateTicket
            ReplyToTicket CommentOnTicket ModifyTicket OwnTicket TakeTicket ShowOutgoingEmail
            SeeCustomField ModifyCustomField SetInitialCustomField Watch);
        grant($principal, $_, RT->System) for qw(ManageAuthTokens ModifySelf);
    }
    grant($everyone->PrincipalObj, $_, $queue) for qw(CreateTicket ReplyToTicket);
}

for my $name (sort keys %user) {
    my $file = "$ENV{RT_INSTANCE_DIR}/token-$name";
    next if -s $file;
    my $token = RT::AuthToken->new($system);
    my ($ok, $message, $secret) = $token->Create(Owner => $user{$name}->id, Description => 'test');
    die "token of $name: $message" unless $ok;
    open my $handle, '>', $file or die "$file: $!";
    print $handle $secret;
    close $handle;
}

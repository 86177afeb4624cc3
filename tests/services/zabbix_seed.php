<?php
// Sets Zabbix up for a test through its API, and acknowledges what is open:
// `set_up PORT BRIDGE_URL`, `acknowledge PORT TEXT`.

[, $verb, $port, $word] = $argv;
$auth = null;

function api(string $method, array $params) {
    global $port, $auth;
    $body = ['jsonrpc' => '2.0', 'method' => $method, 'params' => $params, 'id' => 1];
    if ($auth !== null) {
        $body['auth'] = $auth;
    }
    $options = ['http' => ['method' => 'POST', 'header' => 'Content-Type: application/json-rpc',
        'content' => json_encode($body), 'timeout' => 60, 'ignore_errors' => true]];
    $answer = file_get_contents("http://127.0.0.1:$port/api_jsonrpc.php", false,
        stream_context_create($options));
    $answer = json_decode($answer === false ? '' : $answer, true);
    if (!isset($answer['result'])) {
        fwrite(STDERR, "$method: ".json_encode($answer)."\n");
        exit(1);
    }
    return $answer['result'];
}

function log_in(): void {
    global $auth;
    $auth = api('user.login', ['username' => 'Admin', 'password' => 'zabbix']);
}

function set_up(string $bridge): void {
    $own = api('host.get', ['filter' => ['host' => 'Zabbix server']]);
    if ($own) {
        api('host.update', ['hostid' => $own[0]['hostid'], 'status' => 1]);
    }
    $group = api('hostgroup.create', ['name' => 'Lab'])['groupids'][0];
    $host = api('host.create', ['host' => 'web1.example.net', 'name' => 'Web 1 (Amsterdam)',
        'groups' => [['groupid' => $group]],
        'interfaces' => [['type' => 1, 'main' => 1, 'useip' => 1, 'ip' => '192.0.2.11', 'dns' => '',
            'port' => '10050']]])['hostids'][0];
    api('item.create', ['hostid' => $host, 'name' => 'HTTP status', 'key_' => 'app.http',
        'type' => 2, 'value_type' => 3]);
    api('trigger.create', ['description' => 'HTTP service is down on {HOST.NAME}', 'priority' => 4,
        'expression' => 'last(/web1.example.net/app.http)<>200', 'manual_close' => 1,
        'tags' => [['tag' => 'component', 'value' => 'http']]]);
    // The media type that is shipped.
    api('usermacro.createglobal', ['macro' => '{$ALERTBRIDGE.URL}', 'value' => "$bridge/hooks/zabbix"]);
    api('configuration.import', ['format' => 'yaml',
        'rules' => ['mediaTypes' => ['createMissing' => true, 'updateExisting' => true]],
        'source' => file_get_contents(__DIR__.'/../../config/senders/zabbix.yaml')]);
    $media = api('mediatype.get', ['filter' => ['name' => 'alertbridge']])[0]['mediatypeid'];
    // Zabbix does not tell a user of his own updates, so somebody else gets them.
    $groups = api('usergroup.get', ['filter' => ['name' => 'Zabbix administrators']]);
    $user = api('user.create', ['username' => 'bridge', 'passwd' => 'Br1dge-lab-pw', 'roleid' => 3,
        'usrgrps' => [['usrgrpid' => $groups[0]['usrgrpid']]],
        'medias' => [['mediatypeid' => $media, 'sendto' => ['bridge'][0], 'active' => 0]],
    ])['userids'][0];
    $message = ['default_msg' => 1, 'mediatypeid' => $media];
    api('action.create', ['name' => 'to the bridge', 'eventsource' => 0, 'status' => 0,
        'esc_period' => '60s',
        'filter' => ['evaltype' => 0,
            'conditions' => [['conditiontype' => 0, 'operator' => 0, 'value' => $group]]],
        'operations' => [['operationtype' => 0, 'esc_step_from' => 1, 'esc_step_to' => 2,
            'opmessage' => $message, 'opmessage_usr' => [['userid' => $user]]]],
        'recovery_operations' => [['operationtype' => 11, 'opmessage' => ['default_msg' => 1]]],
        'update_operations' => [['operationtype' => 12, 'opmessage' => ['default_msg' => 1]]]]);
}

function acknowledge(string $text): void {
    $problems = api('problem.get', ['output' => ['eventid']]);
    $events = array_column($problems, 'eventid');
    api('event.acknowledge', ['eventids' => $events, 'action' => 2 + 4, 'message' => $text]);
}

log_in();
$verb($word);

# Every message of a client in every wrong shape, as a user and as a device: each
# is answered with its id and says what is wrong, none ends the socket, and
# nobody else hears of any.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Cluster;
use GoConnect::Contract;
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(encode_json);
use Test::More;

# every frame that any socket gets
my @wrong;
{
    no warnings 'redefine';
    my $decode = \&GoConnect::WS::decode_json;
    *GoConnect::WS::decode_json = sub {
        my $frame = $decode->($_[0]);
        push @wrong, map { "$frame->{type}: $_" } GoConnect::Contract::check_frame($frame);
        return $frame;
    };
}

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s, excluded => 1);
my ($home, $foreign) = @$w{qw(home foreign)};
my $unknown = '00000000-0000-4000-8000-000000000000';
my $key = GoConnect::Server::wg_key();

sub slurp { open my $fh, '<', "$GoConnect::Cluster::ROOT/$_[0]" or die "$_[0]: $!"; local $/; return <$fh> }

# ------------------------------------------------------------- what there is

# field => [kind, required, a good value]; a kind's wrong values are below.
# user, device: the answer to what is well formed
my $uuids = 0;
sub fresh_uuid { return sprintf '%08x-0000-4000-8000-%012x', ++$uuids, $$ }
my %field = (
    network_id => [ uuid => 1, $home->{network} ], to_peer_id => [ uuid => 1, $home->{peer} ],
    channel => [ uuid => 0, $home->{network} ], peer_id => [ uuid => 1, $home->{peer} ],
);
my %message = (
    subscribe => { user => 'ok', device => 'ok', data => {
        topics => [ topics => 1, [ { topic => "network:$home->{network}", seq => undef } ] ] } },
    unsubscribe => { user => 'ok', device => 'ok', data => {
        topics => [ names => 1, [ "network:$home->{network}" ] ] } },
    chat_send => { user => 'ok', device => 'ok', data => {
        network_id => $field{channel}, content => [ content => 1, 'hello' ], key => [ uuid => 1, \&fresh_uuid ] } },
    typing => { user => 'ok', device => 'ok', data => { network_id => $field{channel} } },
    endpoints => { user => '403 device_required', device => 'ok', data => {
        network_id => $field{network_id}, endpoints => [ endpoints => 1, ['192.0.2.1:51820'] ],
        home_relay => [ uuid => 0, undef ] } },
    signal => { user => '403 not_a_peer', device => 'ok', data => {
        network_id => $field{network_id}, to_peer_id => $field{to_peer_id}, data => [ object => 1, { candidate => 1 } ] } },
    rotation_ack => { user => '403 device_required', device => '409 no_rotation', data => {
        peer_id => $field{peer_id}, next_public_key => [ key => 1, $key ] } },
    path_status => { user => '403 not_a_peer', device => 'ok', data => {
        network_id => $field{network_id},
        paths => [ paths => 1, [ { peer_id => $home->{peer}, path => 'direct', rtt => 1, rx_bytes => 1, tx_bytes => 1 } ] ] } },
    ping => { user => 'ok', device => 'ok', data => {} },
);

my @documented = slurp('docs/protocol.md') =~ /^### From the client\n(.*?)^### /ms
    ? $1 =~ /^\| `(\w+)` \|/mg : ();
is_deeply [ sort keys %message ], [ sort @documented ], 'every message of docs/protocol.md is tried here';
my @known = slurp('ngx_goconnect_module/live/ngx_goconnect_live_request.c')
    =~ /request_table\[\] = \{\n(.*?)^\};/ms ? $1 =~ /^    \{"(\w+)",/mg : ();
is_deeply [ sort @known ], [ sort keys %message ], '... and every one that the module knows';

# Wrong values of a kind, and what is said of them; of lists that are looked at
# as one, `-` stands for no field.
my %type = (string => 'x', number => 7, fraction => 1.5, boolean => Mojo::JSON->true, list => [], object => {});
my %json = (uuid => 'string', content => 'string', key => 'string', object => 'object', topics => 'list', names => 'list',
    endpoints => 'list', paths => 'list');
my $long = 'x' x 30_000;
my %wrong = (
    uuid => [ map { [ $_, 'invalid_format' ] } '', 'x', uc $home->{peer}, "$home->{peer} ", " $home->{peer}",
        substr($home->{peer}, 1), "$home->{peer}\n", $home->{peer} =~ tr/-//dr, "{$home->{peer}}", $long ],
    content => [ [ '', 'too_short' ], [ ' ', 'blank' ], [ 'x' x 4001, 'too_long' ], [ $long, 'too_long' ],
        [ "\x07", 'control_character' ] ],
    key => [ map { [ $_, 'invalid_key' ] } '', 'x', substr($key, 1), "${key}A", $key =~ s/=\z/ /r, 'A' x 43 . '=', $long ],
    object => [],
    endpoints => [ [ [ ('192.0.2.1:5') x 9 ], 'too_long' ],
        map { [ [$_], 'invalid_endpoint' ] } 7, undef, '', 'x', '192.0.2.1', '192.0.2.1:0', '192.0.2.1:65536', '192.0.2.1:x',
        '[::1]', '::1:5', 'example.org:5', '192.0.2.1:5 ', ['192.0.2.1:5'] ],
    topics => [ [ [], 'too_short' ], [ [ map { { topic => "tenant:$unknown" } } 1 .. 257 ], 'too_long' ],
        map { [ [$_], '-' ] } 'x', 7, undef, [], {}, { topic => undef }, { topic => 7 }, { topic => '' },
        { topic => "user:$unknown/staff" }, { topic => "tenant:$unknown", seq => -1 }, { topic => "tenant:$unknown", seq => '1' },
        { topic => "tenant:$unknown", seq => 1.5 }, { topic => "tenant:$unknown", seq => Mojo::JSON->true },
        { topic => "tenant:$unknown", seqs => 1 }, { topic => $long } ],
    names => [ [ [ ("tenant:$unknown") x 257 ], 'too_long' ], map { [ [$_], '-' ] } 7, undef, [], {}, '', 'x', "tenant:$unknown ", $long ],
    paths => [ [ [ map { { peer_id => $home->{peer}, path => 'none' } } 1 .. 257 ], 'too_long' ],
        map { [ [$_], '-' ] } 'x', 7, undef, [], {}, { peer_id => $home->{peer} }, { path => 'none' },
        { peer_id => 'x', path => 'none' }, { peer_id => $home->{peer}, path => 'magic' }, { peer_id => $home->{peer}, path => 7 },
        (map { { peer_id => $home->{peer}, path => 'none', $_ => -1 } } qw(rtt rx_bytes tx_bytes)),
        { peer_id => $home->{peer}, path => 'none', rtt => '1' }, { peer_id => $home->{peer}, path => 'none', rtt => 2**40 },
        { peer_id => $home->{peer}, path => 'none', more => 1 } ],
);

# -------------------------------------------------------------------- sockets

my (%socket, %used);
sub socket_of {
    my ($who) = @_;
    # the burst is 40 messages
    if ($socket{$who} && $used{$who}++ % 38 == 37) {
        is scalar(grep { !$_->{topic} } $socket{$who}->frames), 0, "$who: every frame without a topic was an answer";
        (delete $socket{$who})->close;
    }
    return $socket{$who} //= do {
        my $ws = $s->ws(token => $w->token($who));
        $ws->expect('hello');
        $ws;
    };
}

sub verdict {
    my ($frame) = @_;
    my $data = $frame->{data};
    return 'ok' if $frame->{type} eq 'ok';
    return "$data->{status} $data->{code}" . join '', map { " $_->{field}:$_->{code}" } @{ $data->{errors} // [] };
}

sub try_it {
    my ($who, $type, $data, $expected, $name) = @_;
    my $ws = socket_of($who);
    my $answer = $ws->ask($type, $data);
    is verdict($answer), $expected, "$who: $type: $name";
    ok defined $answer->{data}{detail} && $answer->{data}{type} eq 'about:blank', '... in a problem object'
        if $answer->{type} eq 'error';
    return;
}

sub short { my $text = encode_json([ $_[0] ]); return length $text > 50 ? substr($text, 0, 50) . '...' : $text }

sub good {
    my ($message) = @_;
    return map { my $value = $message->{data}{$_}[2]; ($_ => ref $value eq 'CODE' ? $value->() : $value) } keys %{ $message->{data} };
}

# who hears all of it
my $witness = $s->ws(token => $w->token('owner'));
$witness->expect('hello');
my $all = $witness->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } "tenant:$home->{tenant}",
    "network:$home->{network}", "network:$home->{network}/staff", "tenant:$home->{tenant}/staff" ] });
is_deeply $all->{data}{refused}, [], 'a witness';
$witness->ask('ping');
@{ $witness->{frames} } = ();

# --------------------------------------------------------------- wrong shapes

for my $who ('member', 'member device') {
    for my $type (sort keys %message) {
        my $message = $message{$type};
        my $fields = $message->{data};
        next if !%$fields;
        for my $name (sort keys %$fields) {
            my ($kind, $required) = @{ $fields->{$name} };
            my %without = good($message);
            delete $without{$name};
            if ($required) {
                try_it($who, $type, {%without}, "422 invalid_fields $name:required", "no $name");
                try_it($who, $type, { %without, $name => undef }, "422 invalid_fields $name:invalid_type", "$name is null");
            }
            for my $other (sort keys %type) {
                next if $other eq $json{$kind};
                try_it($who, $type, { %without, $name => $type{$other} }, "422 invalid_fields $name:invalid_type",
                    "$name is a $other");
            }
            for my $bad (@{ $wrong{$kind} }) {
                my ($value, $code) = @$bad;
                # who is asking is looked at before items are
                my $expected = $code ne '-' ? "422 invalid_fields $name:$code"
                    : $kind eq 'paths' && $who eq 'member' ? $message->{user} : '422 invalid_fields';
                try_it($who, $type, { %without, $name => $value }, $expected, "$name: " . short($value));
            }
        }
        try_it($who, $type, { good($message), no_such_field => 1 }, '422 unknown_field no_such_field:unknown_field',
            'a field too many');
        my @required = sort grep { $fields->{$_}[1] } keys %$fields;
        if (@required > 1) {
            my $answer = socket_of($who)->ask($type, {});
            is_deeply [ sort map { "$_->{field}:$_->{code}" } @{ $answer->{data}{errors} } ],
                [ map { "$_:required" } @required ], "$who: $type: all that is missing is named";
        }
    }
    for my $type (qw(chat_send typing)) {
        my %good = good($message{$type});
        delete $good{network_id};
        for my $none ({}, { network_id => undef }, { tenant_id => undef }, { tenant_id => undef, network_id => undef }) {
            try_it($who, $type, { %good, %$none }, '422 invalid_fields tenant_id:required', 'nowhere: ' . short($none));
        }
        try_it($who, $type, { %good, tenant_id => $home->{tenant} },
            $who eq 'member' ? 'ok' : '403 insufficient_scope', 'in the tenant');
    }
}

# the envelope
for my $case (
    [ '{"id":"a"}', '422 invalid_fields type:invalid_type', 'a' ],
    [ '{"id":"a","type":null}', '422 invalid_fields type:invalid_type', 'a' ],
    [ '{"id":"a","type":7}', '422 invalid_fields type:invalid_type', 'a' ],
    [ '{"id":"a","type":["ping"]}', '422 invalid_fields type:invalid_type', 'a' ],
    [ '{"id":"a","type":""}', '422 unknown_type', 'a' ],
    [ '{"id":"a","type":"Ping"}', '422 unknown_type', 'a' ],
    [ '{"id":"a","type":"hello"}', '422 unknown_type', 'a' ],
    [ '{"id":"a","type":"chat_message","topic":"tenant:x","seq":1,"data":{}}', '422 unknown_type', 'a' ],
    [ '{"id":"a","type":"' . 'x' x 60_000 . '"}', '422 unknown_type', 'a' ],
    (map { [ qq({"id":"a","type":"ping","data":$_}), '422 invalid_fields data:invalid_type', 'a' ] }
        '[]', '7', '"x"', 'null', 'true'),
    (map { [ qq({"id":$_,"type":"ping"}), '422 invalid_fields id:invalid_format', undef ] }
        '7', 'true', '[]', '{}', '"' . 'x' x 65 . '"'),
    [ '{"id":null,"type":"ping"}', 'ok', undef ],
    [ '{"id":"","type":"ping"}', 'ok', '' ],
    [ '{"type":"ping","id":"a","data":{"any":["thing"]}}', 'ok', 'a' ],
    [ '', '400 malformed_json', undef ], [ ' ', '400 malformed_json', undef ], [ 'null', '400 malformed_json', undef ],
    [ '7', '400 malformed_json', undef ], [ '"ping"', '400 malformed_json', undef ], [ '[]', '400 malformed_json', undef ],
    [ '[{"type":"ping"}]', '400 malformed_json', undef ], [ '{"type":"ping"}{}', '400 malformed_json', undef ],
    [ '{"id":"a","type":"ping"', '400 malformed_json', 'a' ],
    [ '{"id":"a","type":"ping",}', '400 malformed_json', 'a' ],
    [ '{"id":"a","type":"ping","type":"ping"}', '400 duplicate_member', 'a' ],
    [ '{"id":"a","type":"chat_send","data":{"content":"a\u0000b"}}', '400 nul_character', 'a' ],
    [ '{"id":"a","type":"ping","data":{"n":99999999999999999999}}', '400 number_out_of_range', 'a' ],
    [ '{"id":"a","type":"ping","data":{"n":1e999}}', '400 number_out_of_range', 'a' ],
    [ '{"id":"a","type":"ping","data":{"x":"\ud800"}}', '400 malformed_json', 'a' ],
    [ '{"id":"a","type":"ping","data":' . '[' x 60_000, '400 too_deep', 'a' ],
    [ '{"id":"a","type":"ping","data":' . '{"a":' x 40 . '1' . '}' x 40 . '}', '400 too_deep', 'a' ],
) {
    my ($text, $expected, $id) = @$case;
    my $ws = socket_of('member');
    $ws->send_raw($text);
    my $answer = $ws->expect(sub { !$_[0]{topic} });
    is verdict($answer), $expected, 'raw: ' . (length $text > 60 ? substr($text, 0, 60) . '...' : $text);
    is $answer->{id}, $id, '... with ' . (defined $id ? 'its' : 'no') . ' id';
}

# ----------------------------------------------------------- what is others'

for my $case (
    # type, what differs, the answer to a user and to a device
    [ chat_send => { network_id => $foreign->{network} }, ('404 not_found') x 2 ],
    [ chat_send => { network_id => $unknown }, ('404 not_found') x 2 ],
    [ chat_send => { network_id => $home->{lobby} }, '403 membership_required', '404 not_found' ],
    [ typing => { network_id => $foreign->{network} }, ('404 not_found') x 2 ],
    [ typing => { network_id => $unknown }, ('404 not_found') x 2 ],
    [ typing => { network_id => $home->{lobby} }, '403 membership_required', '404 not_found' ],
    [ endpoints => { network_id => $foreign->{network} }, '403 device_required', '404 not_found' ],
    [ endpoints => { network_id => $unknown }, '403 device_required', '404 not_found' ],
    [ endpoints => { home_relay => $unknown }, '403 device_required', '422 invalid_fields home_relay:unknown' ],
    [ signal => { network_id => $foreign->{network} }, ('403 not_a_peer') x 2 ],
    [ signal => { network_id => $unknown }, ('403 not_a_peer') x 2 ],
    [ signal => { data => { a => 'x' x 4000 } }, ('413 signal_too_large') x 2 ],
    [ path_status => { network_id => $foreign->{network} }, ('403 not_a_peer') x 2 ],
    [ path_status => { network_id => $unknown }, ('403 not_a_peer') x 2 ],
    [ rotation_ack => { peer_id => $foreign->{peer} }, '403 device_required', '404 not_found' ],
    [ rotation_ack => { peer_id => $unknown }, '403 device_required', '404 not_found' ],
) {
    my ($type, $change, @expected) = @$case;
    try_it($_, $type, { good($message{$type}), %$change }, shift @expected, short($change)) for 'member', 'member device';
}

# nobody has heard of anything of this, but of what was said as it should be
$witness->ask('ping');
is_deeply [ grep { $_ !~ /^(?:chat_message|typing|peer_status|presence)$/ } map { $_->{type} } $witness->frames ], [],
    'nobody else has heard of it';
is_deeply [ grep { $_ ne 'hello' } map { $_->{data}{content} } grep { $_->{type} eq 'chat_message' } $witness->frames ], [],
    'nothing was said but what may be';

# ------------------------------------------------------------- well formed

# two devices that share a network
my $other = $w->must(201, 'peers_create', as => 'owner device', path => [ $home->{network} ],
    body => { public_key => GoConnect::Server::wg_key() });
my $mine = socket_of('member device');
my $its = socket_of('owner device');
$_->ask('ping') for $mine, $its;
for my $type (sort keys %message) {
    for my $who ('member', 'member device') {
        my $expected = $message{$type}{ $who eq 'member' ? 'user' : 'device' };
        # it cannot be ready for a key of its own
        $expected = '404 not_found' if $type eq 'rotation_ack' && $who ne 'member';
        try_it($who, $type, { good($message{$type}) }, $expected, 'as it should be');
    }
}

# rotation: announced, acknowledged by another, committed
my $next = GoConnect::Server::wg_key();
my $ack = sub { socket_of('member device')->ask(rotation_ack => { peer_id => $other->{id}, next_public_key => $_[0] }) };
is verdict($ack->($next)), '409 no_rotation', 'no key is announced yet';
$w->must(200, 'peers_rotate', as => 'owner device', path => [ $other->{id} ], body => { public_key => $next });
is verdict($ack->(GoConnect::Server::wg_key())), '409 no_rotation', 'not another key';
is verdict($ack->($next)), 'ok', 'the one that was announced';
is_deeply $its->expect('rotation_ack'), { type => 'rotation_ack', data => { network_id => $home->{network},
    peer_id => $other->{id}, from_peer_id => $home->{peer}, next_public_key => $next } }, 'the rotating device hears who is ready';
$w->must(200, 'peers_rotate_commit', as => 'owner device', path => [ $other->{id} ], body => { public_key => $next });
is verdict($ack->($next)), '409 no_rotation', 'and not after it';
$w->must(204, 'networks_kick', as => 'owner', path => [ $home->{network} ], body => { user_id => $home->{user} });
is verdict($ack->($next)), '404 not_found', 'nor of somebody who is out';
$w->must(200, 'networks_join', as => 'member', path => [ $home->{network} ], body => {});
$w->must(201, 'peers_create', as => 'member device', path => [ $home->{network} ], body => { public_key => GoConnect::Server::wg_key() });

# a home relay: set, kept, taken away; the others see it in the map
my $relay = $s->sql("INSERT INTO goconnect.relays (name, address4) VALUES ('r', '192.0.2.9') RETURNING id") =~ /^(\S+)/ ? $1 : die;
my $off = $s->sql("INSERT INTO goconnect.relays (name, address4, enabled) VALUES ('off', '192.0.2.8', false) RETURNING id") =~ /^(\S+)/ ? $1 : die;
$its->ask(subscribe => { topics => [ { topic => "network:$home->{network}", seq => undef } ] });
$its->expect('netmap');
for my $step ([ $relay, $relay ], [ 'absent', $relay ], [ undef, undef ]) {
    my ($told, $seen) = @$step;
    my @relay = ($told // '') eq 'absent' ? () : (home_relay => $told);
    is verdict(socket_of('member device')->ask(endpoints => { network_id => $home->{network},
        endpoints => [ '192.0.2.2:' . (1000 + ++$uuids) ], @relay })), 'ok', 'home relay: ' . ($told // 'none');
    is $its->expect('netmap_delta')->{data}{upsert}[0]{home_relay}, $seen, '... is seen';
}
is verdict(socket_of('member device')->ask(endpoints => { network_id => $home->{network}, endpoints => [], home_relay => $off })),
    '422 invalid_fields home_relay:unknown', 'one that is switched off';

# -------------------------------------------------------------------- tickets

# one ticket at many doors at once: one opens
for my $round (1 .. 3) {
    my $ticket = $w->must(201, 'ws_ticket_create', as => 'outsider')->{ticket};
    my @ws = map { $s->ws(ticket => $ticket) } 1 .. 6;
    my @in = grep { $_->expect('hello', optional => 1) } @ws;
    is @in, 1, 'a ticket that crosses itself opens once';
    is_deeply [ map { $_->closed } grep { my $ws = $_; !grep { $_ == $ws } @in } @ws ], [ (4001) x 5 ], '... and the others get 4001';
    $_->close for @in;
}
my $ticket = $w->must(201, 'ws_ticket_create', as => 'member device')->{ticket};
$w->must(204, 'devices_delete', as => 'member', path => [ $home->{device} ]);
is $s->ws(ticket => $ticket)->closed, 4001, 'a ticket of what is gone since';
delete $socket{'member device'};

$_->close for values %socket, $witness;
is_deeply \@wrong, [], 'every frame was of its schema';
$s->stop;
done_testing;

# The control connection: tokens, closures, a dead server, frames that are none.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;
use Time::HiRes qw(time);

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $lan = $plane->network('Lan');
$plane->add_peer($lan, { public_key => key(1) });
$a->must('join', $lan->{link});

sub connected { until_true(sub { $a->control eq "connected" }, $_[0] // 45) }

# A new connection has said, since clear(), all that it says by itself: what it
# follows, and some moments later where this device is. Only then is nothing
# under way.
sub told {
    return until_true(sub { $plane->frames('subscribe') && $plane->frames('endpoints') }, 45);
}

# A daemon that has lost nothing yet: who lost several connections in a row
# waits longer and longer.
sub afresh {
    $a->stop;
    $plane->clear;
    $a->daemon;
    return told() || die 'goconnectd does not connect: ' . $a->log;
}

# How long the daemon meant to wait before each try.
sub waits { $a->log =~ /trying again in (\d+) ms/g }

sub peers { scalar keys %{ ($a->wg('gc-lan') // { peers => {} })->{peers} } }

# What happened while we were away is there afterwards.
sub in_step {
    my ($n, $name) = @_;
    $plane->add_peer($lan, { public_key => key($n) });
    ok until_true(sub { exists +($a->wg('gc-lan') // {})->{peers}{ key($n) } }), $name;
}

subtest 'a lost connection' => sub {
    told();
    $plane->clear;
    $plane->drop;
    ok told(), 'is made again';
    cmp_ok((waits())[-1], '<', 200, '... at once');
    ok connected(), 'connected';
    my ($again) = $plane->frames('subscribe');
    my ($topic) = grep { $_->{topic} =~ /^network/ } @{ $again->{data}{topics} };
    cmp_ok $topic->{seq} // 0, '>', 0, 'the network goes on from what is known';
    in_step(2, 'and is in step');
};

for my $case ([ 1012, 'the server restarts' ], [ 4008, 'too slow' ], [ 1011, 'an error' ]) {
    my ($code, $why) = @$case;
    subtest "closed with $code: $why" => sub {
        afresh();
        $plane->clear;
        $plane->drop($code);
        ok told(), 'comes back';
        in_step($code % 100, 'and is in step');
    };
}

subtest 'the server restarts, and says when to come back' => sub {
    for my $case ([ 2, 2000 ], [ 0, 0 ]) {
        my ($seconds, $least) = @$case;
        afresh();
        my $before = () = waits();
        $plane->clear;
        $plane->send({ type => 'error', data => { type => 'about:blank', title => 'x',
            status => 503, code => 'server_restart', detail => 'Come back.',
            retry_after => $seconds } });
        $plane->drop(1012);
        ok told(), 'comes back';
        my $wait = (waits())[$before];
        ok $wait >= $least && $wait < $least + 1000, "told $seconds s: waits $wait ms";
        # what was told holds once
        $before = () = waits();
        $plane->clear;
        $plane->drop;
        ok told(), 'comes back another time';
        cmp_ok +(waits())[$before], '<', 60_000, 'by its own measure';
    }
};

subtest 'closed with 4001: the token is refused' => sub {
    afresh();
    $plane->clear;
    $plane->drop(4001);
    ok told(), 'comes back, and says where it is as on every connection';
    is_deeply [ $plane->requests ], [ 'POST /v1/auth/refresh', 'WS /v1/ws' ], 'with a new token';
    like $a->host->must('cat', '/var/lib/goconnect/device.json'), qr/"refresh_token":"refresh-\d+/,
        '... whose successor is on disk';
};

subtest 'a token is renewed before its end' => sub {
    afresh();
    $plane->set(expires => 60);
    $plane->clear;
    $plane->drop(4001);
    ok told(), 'connected with a token that is near its end';
    is_deeply [ $plane->requests ], [ 'POST /v1/auth/refresh', 'WS /v1/ws' ],
        '... which is used all the same';
    $plane->set(expires => 900);
    $plane->clear;
    $plane->drop;
    ok told(), 'comes back';
    is_deeply [ $plane->requests ], [ 'POST /v1/auth/refresh', 'WS /v1/ws' ],
        'renewed before it was used again';
};

subtest 'another epoch' => sub {
    afresh();
    $plane->set(epoch => 'e2');
    $plane->clear;
    $plane->drop;
    ok told(), 'comes back';
    my ($again) = $plane->frames('subscribe');
    my ($topic) = grep { $_->{topic} =~ /^network/ } @{ $again->{data}{topics} };
    is $topic->{seq}, undef, 'all is fetched afresh';
    in_step(30, 'and is in step');
};

subtest 'what came meanwhile has expired' => sub {
    afresh();
    $plane->set(expired => 1, mute => 1);
    $plane->add_peer($lan, { public_key => key(31) });
    $plane->set(mute => 0);
    $plane->drop;
    ok until_true(sub { exists $a->wg('gc-lan')->{peers}{ key(31) } }, 40), 'resync: fetched afresh';
    $plane->set(expired => 0);
};

subtest 'frames that are none' => sub {
    my $before = peers();
    my $id = $lan->{id};
    $plane->send_raw($_) for '', '{', 'null', '[]', '"x"', '{"type":5}', '{"type":"netmap"}',
        '{"type":"netmap","data":5}', '{"type":"self","data":{}}', '{"type":"hello","data":{}}',
        '{"type":"nonsense","data":{}}', '{"type":"revoked","data":{"scope":"everything"}}',
        '{"type":"ok","id":"x","data":{}}', '{"type":"error","data":{"code":"x","detail":"y"}}',
        '{"type":"peer_status","data":{"network_id":"' . $id . '","peers":[5,{},null]}}',
        '{"type":"resync","topic":"network:nobody","data":{}}', '[' x 100_000, '{"a":' x 5_000,
        '{"type":"type","type":"type","data":{}}', "{\"type\":\"\x{1}\",\"data\":{}}";
    $plane->send({ type => 'netmap_delta', topic => "network:$id", seq => 1, data => {} });
    in_step(32, 'the connection goes on');
    is peers(), $before + 1, '... and they have changed nothing';
};

my $n = 40;
subtest 'changes that do not fit' => sub {
    my $id = $lan->{id};
    my $seq = sub { $plane->state->{networks}{$id}{seq} };
    my $fresh = sub { until_true(sub { grep { $_->{data}{topics}[0]{topic} eq "network:$id"
        && !defined $_->{data}{topics}[0]{seq} } $plane->frames('subscribe') }) };
    for my $bad (
        [ 'another base version', { base_version => 1, version => 999, upsert => [], remove => [] } ],
        [ 'a peer without a key', { base_version => undef, upsert => [ { id => $id } ], remove => [] } ],
        [ 'no data at all', undef ],
    ) {
        my ($name, $data) = @$bad;
        $plane->clear;
        my $state = $plane->state->{networks}{$id};
        $data = { network_id => $id, version => $state->{seq} + 1, %$data } if $data;
        $data->{base_version} = $state->{version} if $data && !defined $data->{base_version};
        $plane->send({ type => 'netmap_delta', topic => "network:$id", seq => $state->{seq} + 1,
            data => $data // {} });
        ok $fresh->(), "$name: the netmap is asked for";
        in_step(++$n, '... and is in step');
    }
    $plane->clear;
    $plane->send({ type => 'netmap', topic => "network:$id", seq => 5, data => { network_id => $id,
        version => 5, part => 3, last => JSON::PP::true, peers => [] } });
    ok $fresh->(), 'a part out of order: asked for again';
    is scalar(grep { $_->{data}{topics}[0]{topic} eq "network:$id" } $plane->frames('subscribe')), 1,
        '... once';
    in_step(50, '... and is in step');
};

subtest 'the server does not answer' => sub {
    $plane->freeze;
    my $began = time;
    ok until_true(sub { $a->control ne 'connected' }, 60), 'a dead connection is noticed';
    cmp_ok time - $began, '<', 40, sprintf '... after %.0f s', time - $began;
    cmp_ok peers(), '>', 3, 'the tunnels stand';
    ok defined $a->json('status')->{error}, 'status says what is wrong';
    $plane->thaw;
    ok connected(60), 'and it comes back';
    in_step(51, '... in step');
};

subtest 'the server dies and comes back' => sub {
    afresh();
    my $before = $a->dump;
    my $peers = peers();
    $plane->kill;
    ok until_true(sub { $a->control eq 'waiting' }), 'status says waiting';
    ok until_true(sub { ($a->json('status')->{error} // '') =~ /cannot connect/ }), '... and why';
    is $a->dump, $before, 'nothing of the interface changes';
    is_deeply [ ($a->cli('down'))[0], ($a->cli('up'))[0], peers() ], [ 0, 0, $peers ],
        'down and up work without it';
    $plane->resume;
    ok connected(60), 'it comes back by itself';
    in_step(52, '... in step');
};

subtest 'the server comes back with less than it has told' => sub {
    afresh();
    my $memory = $plane->memory;
    in_step(53, 'a peer came');
    $plane->kill;
    $plane->resume($memory);
    ok until_true(sub { !exists $a->wg('gc-lan')->{peers}{ key(53) } }, 45),
        'what the server has lost is gone';
    in_step(54, '... and is in step');
};

subtest 'the device is revoked' => sub {
    my $tries = () = waits();
    $plane->drop(4003);
    ok until_true(sub { $a->control eq 'refused' }), '4003 ends it';
    like $a->json('status')->{error}, qr/revoked this device: goconnect login/, 'status says what to do';
    is scalar(() = waits()), $tries, 'and nothing is to be tried again';
    $a->stop;
    $plane->set(refuse => 1);
    $a->daemon;
    ok until_true(sub { $a->control eq 'refused' }), 'a refresh that is refused ends it too';
    cmp_ok peers(), '>', 3, 'what was not revoked by name stands';
    $plane->set(refuse => 0);
    $a->must('logout');
    is_deeply [ $a->interfaces ], [], 'logout takes it down';
    $a->must('login', $plane->url, @{ $a->login_options });
    $a->must('join', $lan->{link});
    my ($device) = grep { 1 } keys %{ $plane->state->{devices} };
    $plane->send({ type => 'revoked', topic => "device:$device", seq => 9, data => { scope => 'device',
        device_id => $a->json('status')->{device}{id}, topics => [], reason => 'deleted' } });
    ok until_true(sub { $a->control eq 'refused' && !$a->interfaces }),
        'revoked by name: everything comes down';
    $a->must('login', $plane->url, @{ $a->login_options });
    ok connected(), 'a new login makes the device known again';
    is_deeply $a->json('join', 'lan')->{state}, 'up', 'and it can join';
};

subtest 'nobody says hello' => sub {
    plan skip_all => 'FULL: waits 35 s' if !$ENV{FULL};
    $a->must('logout');
    $plane->set(no_hello => 1);
    $a->must('login', $plane->url, @{ $a->login_options });
    ok until_true(sub { ($a->json('status')->{error} // '') =~ /hello/ }, 60), 'the connection is given up';
};

is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;

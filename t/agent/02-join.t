# From login to a mesh: join, netmaps in parts, changes, gaps, resync, down and
# up, leave, logout.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $before = $a->dump;
my $lan = $plane->network('Lan');

sub has_peers {
    my ($interface, @keys) = @_;
    return until_true(sub {
        my $wg = $a->wg($interface) or return;
        return join(' ', sort keys %{ $wg->{peers} }) eq join(' ', sort @keys);
    });
}

subtest 'join by a link' => sub {
    $plane->add_peer($lan, { public_key => key(1), endpoints => ['198.51.1.77:7000'] });
    my $joined = $a->json('join', $lan->{link});
    is_deeply [ @$joined{qw(name state interface ip_address cidr)} ],
        [ 'Lan', 'up', 'gc-lan', '10.77.1.3', '10.77.1.0/24' ], 'it is up when join returns';
    is $joined->{error}, undef, 'no problem is null';
    my $wg = $a->wg('gc-lan');
    is_deeply $wg->{peers}, { key(1) => { endpoint => '198.51.1.77:7000', allowed => '10.77.1.2/32' } },
        'the other peer is there, at its endpoint';
    my ($post) = grep { $_->{path} =~ m{/peers$} } @{ $plane->state->{requests} };
    is $post->{body}{public_key}, $wg->{public_key}, 'the server got the public key of this interface';
    my ($made) = grep { $_->{path} eq '/v1/devices' } @{ $plane->state->{requests} };
    isnt $made->{body}{public_key}, $wg->{public_key}, '... which is not the device\'s';
    like $a->host->must('ip', 'route'), qr{10\.77\.1\.0/24 dev gc-lan proto 201}, 'the route is marked as ours';
    unlike $a->host->must('sh', '-c', 'ip -o link show gc-lan'), qr/mtu (?!1420)/, 'MTU 1420';
    is_deeply $a->json('join', 'lan')->{ip_address}, '10.77.1.3', 'joining again changes nothing';
    my ($status, $said) = $a->cli('join', 'AAAAAAAAAA');
    is $status, 5, 'an invite that is none: refused';
    like $said, qr/neither a valid invite nor a network/, '... and said';
};

subtest 'endpoints are told, and told again when they change' => sub {
    my $port = $a->wg('gc-lan')->{port};
    my $told = sub {
        my ($post) = grep { $_->{path} =~ m{/peers$} } @{ $plane->state->{requests} };
        return (@{ $post->{body}{endpoints} }, map { @{ $_->{data}{endpoints} } } $plane->frames('endpoints'));
    };
    ok until_true(sub { grep { $_ eq "198.51.1.10:$port" } $told->() }), 'IPv4';
    ok until_true(sub { grep { $_ eq "[2001:db8:1::10]:$port" } $told->() }), 'IPv6';
    ok !(grep { /^(127|10\.77)|fe80/ } $told->()), 'neither loopback nor the network itself';
    $plane->clear;
    $a->host->must('ip', 'address', 'add', '198.51.1.66/24', 'dev', 'eth0');
    ok until_true(sub { grep { $_ eq "198.51.1.66:$port" }
        map { @{ $_->{data}{endpoints} } } $plane->frames('endpoints') }), 'a new address is told';
    $a->host->must('ip', 'address', 'del', '198.51.1.66/24', 'dev', 'eth0');
};

subtest 'the local networks are told, and told again when they change' => sub {
    my $last = sub {
        my @told = grep { $_->{method} eq 'PATCH' && $_->{path} =~ m{^/v1/devices/} }
            @{ $plane->state->{requests} };
        return @told ? join ' ', @{ $told[-1]{body}{subnets} } : '';
    };
    $plane->clear;
    $a->host->must('ip', 'address', 'add', '198.51.7.1/25', 'dev', 'eth0');
    ok until_true(sub { $last->() =~ m{(?:^| )198\.51\.7\.0/25(?: |$)} }), 'a new one is told';
    unlike $last->(), qr{127\.|fe80|10\.77\.}, '... not loopback, nor the network itself';
    $a->host->must('ip', 'address', 'del', '198.51.7.1/25', 'dev', 'eth0');
    ok until_true(sub { $last->() !~ m{198\.51\.7\.} && $last->() }), 'that it went too';
};

subtest 'changes' => sub {
    my $p2 = $plane->add_peer($lan, { public_key => key(2), name => 'bob-desk' });
    ok has_peers('gc-lan', key(1), key(2)), 'a new peer appears';
    $plane->add_peer($lan, { %$p2, endpoints => ['198.51.1.78:7001'] });
    ok until_true(sub { ($a->wg('gc-lan')->{peers}{ key(2) }{endpoint} // '') eq '198.51.1.78:7001' }),
        'its first endpoint is taken';
    $plane->send({ type => 'peer_status', topic => "network:$lan->{id}",
        data => { network_id => $lan->{id}, peers => [ { peer_id => $p2->{id}, status => 'online', endpoint => undef } ] } });
    ok until_true(sub { grep { $_->{name} eq 'bob-desk' && $_->{status} eq 'online' }
        @{ $a->json('peers')->{peers} } }), 'peers shows who is online';
    $plane->remove_peer($lan, $p2->{id});
    ok has_peers('gc-lan', key(1)), 'a peer that left is gone';
    my ($self) = grep { $_->{self} } @{ $a->json('peers', 'lan')->{peers} };
    is $self->{ip_address}, '10.77.1.3', 'peers marks this device';
    like $a->must('peers'), qr/^NAME.*\n.*10\.77\.1\./m, 'and is readable';
    like $a->must('peers'), qr/ self +self +- +- +- +0 +0$/m, '... and does not say that this device was never seen';
};

subtest 'something is missed' => sub {
    $plane->clear;
    $plane->set(mute => 1);
    my $missed = $plane->add_peer($lan, { public_key => key(3) });
    $plane->set(mute => 0);
    $plane->add_peer($lan, { public_key => key(4) });
    ok has_peers('gc-lan', key(1), key(3), key(4)), 'a gap is asked for';
    my ($asked) = grep { $_->{data}{topics}[0]{topic} eq "network:$lan->{id}" } $plane->frames('subscribe');
    ok defined $asked->{data}{topics}[0]{seq}, '... from what is known';

    $plane->clear;
    $plane->send({ type => 'resync', topic => "network:$lan->{id}", data => { reason => 'overflow' } });
    ok until_true(sub { grep { $_->{data}{topics}[0]{topic} eq "network:$lan->{id}"
        && !defined $_->{data}{topics}[0]{seq} } $plane->frames('subscribe') }), 'resync: all afresh';
    ok has_peers('gc-lan', key(1), key(3), key(4)), '... with the same outcome';
};

subtest 'a netmap in parts, with a change in between' => sub {
    my $big = $plane->network('Big one');
    $plane->add_peer($big, { public_key => key(100 + $_) }) for 1 .. 25;
    $plane->set(part => 7, between => 1);
    my $joined = $a->json('join', $big->{link});
    is $joined->{interface}, 'gc-big one' =~ s/ .*//r, 'named after the slug' if $joined->{interface} eq 'gc-big';
    my $interface = $joined->{interface};
    ok until_true(sub { keys %{ ($a->wg($interface) // { peers => {} })->{peers} } == 26 }),
        'all 25 and the one that came meanwhile';
    $plane->set(part => 0);
    is $a->network_of('Big one')->{peers}, 26, 'status counts them';
    ok((grep { $_ eq 'gc-lan' } $a->interfaces), 'the first network is as it was');
    my ($status, $said) = $a->cli('chat');
    is $status, 2, 'which network? With two it has to be said';
    $a->must('leave', 'Big one');
    ok !(grep { $_ eq $interface } $a->interfaces), 'left: its interface is gone';
};

subtest 'down takes all away, and nothing else' => sub {
    $a->must('down');
    is $a->dump, $before, 'links, addresses and routes are as before';
    is $a->wireguards, 0, 'no process is left';
    is $a->network_of('Lan')->{state}, 'down', 'status says so';
    $a->stop;
    $a->daemon;
    is_deeply [ $a->interfaces ], [], 'down holds over a restart';
    $a->must('up', 'lan');
    ok has_peers('gc-lan', key(1), key(3), key(4)), 'up brings it back';
    my ($status, $said) = $a->cli('down', 'elsewhere');
    is $status, 2, 'an unknown network is a wrong usage';
};

subtest 'leave' => sub {
    $a->must('leave', 'lan');
    is $a->dump, $before, 'nothing of the network is left';
    is_deeply $a->json('status')->{networks}, [], 'status is empty';
    my ($status, $said) = $a->host->run('find', '/var/lib/goconnect/networks', '/var/lib/goconnect/netmaps', '-type', 'f');
    is $said, '', 'nor is its key';
};

subtest 'the server takes a network away' => sub {
    $a->must('join', $lan->{link});
    $plane->send({ type => 'revoked', topic => 'device:x', seq => 9, data => { scope => 'network',
        network_id => $lan->{id}, topics => ["network:$lan->{id}"], reason => 'kicked' } });
    ok until_true(sub { !$a->interfaces }), 'its interface comes down';
    is_deeply $a->json('status')->{networks}, [], '... and it is forgotten';
    $a->must('join', $lan->{link});
    ok has_peers('gc-lan', key(1), key(3), key(4)), 'it can be joined again';
};

subtest 'logout' => sub {
    $a->must('logout');
    is $a->dump, $before, 'all interfaces are gone';
    is $a->control, 'logged_out', 'the connection too';
    my ($status, $said) = $a->host->run('find', '/var/lib/goconnect', '-name', '*.json');
    is $said, '', 'no key, no token is left';
    ok !-e $a->host->home . '/.local/state/goconnect/session.json', 'nor the session';
    is keys %{ $plane->state->{devices} }, 0, 'the server has forgotten the device';
    is(($a->cli('join', $lan->{link}))[0], 4, 'from here on one has to log in');
};

is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/ error: |Sanitizer/, 'and had nothing to complain of';

done_testing;

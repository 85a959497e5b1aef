# kill -9 at any moment, restarts with and without the server, two daemons,
# damaged state: it always ends in step, with nothing orphaned.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;
use Time::HiRes qw(sleep time);

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $clean = $a->dump;
my $lan = $plane->network('Lan');
my $state = '/var/lib/goconnect';
$plane->add_peer($lan, { public_key => key(1), endpoints => ['198.51.1.77:7000'] });

sub up { until_true(sub { ($a->wg('gc-lan') // { peers => {} })->{peers}{ key(1) } }) }

sub wg_text {
    my $wg = $a->wg('gc-lan') or return 'none';
    return join "\n", $wg->{public_key}, $wg->{port},
        map { "$_ $wg->{peers}{$_}{allowed}" } sort keys %{ $wg->{peers} };
}

$a->must('join', $lan->{link});
ok up(), 'joined';
my ($good, $wg) = ($a->dump, wg_text());

subtest 'TERM keeps the mesh, and the next start takes it over' => sub {
    my ($before) = $a->host->must('ip', '-o', 'link') =~ /^(\d+): gc-lan/m;
    is $a->stop, 0, 'it ends with 0';
    is_deeply [ $a->dump, wg_text() ], [ $good, $wg ], 'the interface stands without it';
    $a->daemon;
    ok until_true(sub { $a->control eq 'connected' }), 'it is back';
    my ($after) = $a->host->must('ip', '-o', 'link') =~ /^(\d+): gc-lan/m;
    is $after, $before, 'the interface is the same one';
    is_deeply [ $a->dump, wg_text() ], [ $good, $wg ], 'and as it was';
};

subtest 'a restart without the server' => sub {
    $a->must('leave', 'lan');
    $a->must('join', $lan->{link});
    $a->stop('KILL');    # at once: what join promises is on disk
    $plane->kill;
    ($good, $wg) = ($a->dump, wg_text());
    $a->daemon;
    is_deeply [ $a->dump, wg_text() ], [ $good, $wg ], 'after kill -9: taken over';
    $a->stop('KILL');
    $a->host->run('sh', '-c', 'ip link del gc-lan; kill -9 $(pidof wireguard-go)');
    $a->daemon;
    ok up(), 'as after a reboot: made anew from disk';
    is_deeply [ $a->dump, wg_text() ], [ $good, $wg ], '... the same';
    my ($status, $said) = $a->cli('join', 'lan');
    is $status, 6, 'what needs the server says that it is away';
    $plane->resume;
    ok until_true(sub { $a->control eq 'connected' }, 60), 'in touch again';
};

subtest 'a second daemon' => sub {
    my ($status, $said) = $a->host->run("$BUILD/goconnectd", '--backend', 'userspace');
    is $status, 1, 'ends with 1';
    like $said, qr/another goconnectd \(process \d+\) works in \Q$state\E/, '... and says why';
    ($status, $said) = $a->host->run("$BUILD/goconnectd", '--backend', 'userspace',
        '--state', '/tmp/other-state-' . $$);
    is $status, 1, 'with another state folder, but the same socket: too';
    like $said, qr/another goconnectd listens/, '... and says why';
    $a->host->run('rm', '-rf', "/tmp/other-state-$$");
    is $a->control, 'connected', 'the first one goes on';
    is_deeply [ $a->dump, wg_text() ], [ $good, $wg ], 'untouched';
};

# With the daemon that can be told when to die.
sub faulty {
    $a->stop if $a->{daemon};
    $a->fault(0);
    $a->daemon_with_fault->answers;
    return until_true(sub { $a->control eq 'connected' });
}

sub joined {
    $a->daemon if !$a->{daemon};
    until_true(sub { $a->control eq 'connected' });
    $a->must('join', $lan->{link});
    return up();
}

sub left {
    $a->daemon if !$a->{daemon};
    $a->cli('leave', 'lan');
    return $a->dump eq $clean;
}

my %case = (
    join => { ready => \&left, command => [ 'join', $lan->{link} ], check => sub {
        my ($name) = @_;
        ok joined(), "$name: joined in the end";
        is_deeply [ $a->interfaces ], ['gc-lan'], '... on one interface';
        is $a->wireguards, 1, '... with one process';
        my ($peer) = grep { $_->{username} eq 'ada' }
            values %{ $plane->state->{networks}{ $lan->{id} }{peers} };
        is $a->wg('gc-lan')->{public_key}, $peer->{public_key}, '... and the server knows its key';
    } },
    down => { ready => sub { joined(); $a->must('up'); up() }, command => ['down'], check => sub {
        my ($name) = @_;
        $a->must('down');
        is $a->dump, $clean, "$name: nothing is left";
        is $a->wireguards, 0, '... no process either';
    } },
    leave => { ready => \&joined, command => [ 'leave', 'lan' ], check => sub {
        my ($name) = @_;
        until_true(sub { $a->control eq 'connected' });
        $a->cli('leave', 'lan');
        is $a->dump, $clean, "$name: nothing is left";
        is $a->wireguards, 0, '... no process either';
        is $a->host->must('find', "$state/networks", "$state/netmaps", '-type', 'f'), '', '... nor a key';
    } },
);

# After every single step; between states that are on disk already 11-kill.t
# has more.
for my $name (sort keys %case) {
    my $case = $case{$name};
    subtest "kill -9 in $name" => sub {
        for (my $step = 1 ;; $step++) {
            faulty();
            $case->{ready}->() or fail('not ready');
            $a->fault($step);
            $a->cli(@{ $case->{command} });
            my $after = $a->died_after;
            $a->stop('KILL');
            $a->daemon;
            $case->{check}->(defined $after ? "after step $step ($after)" : 'alive');
            cmp_ok $step, '>', 5, 'every step' if !defined $after;
            last if !defined $after;
        }
    };
}

# Whoever begins with the keys before would hear from nobody for a while.
subtest 'kill -9 when somebody changes his key' => sub {
    joined();
    my $peer = $plane->add_peer($lan, { public_key => key(70) });
    my $allowed = sub { (($a->wg('gc-lan') // {})->{peers}{ $_[0] } // {})->{allowed} };
    for my $case ([ 'announced', { %$peer, next_public_key => key(71) }, sub { $allowed->(key(71)) } ],
        [ 'used', { %$peer, public_key => key(71) }, sub { ($allowed->(key(71)) // '') =~ /\d/ } ]) {
        my ($name, $change, $seen) = @$case;
        $plane->add_peer($lan, $change);
        ok until_true($seen), "the next key, $name, is on the interface";
        $a->stop('KILL');
        $plane->kill;
        $a->daemon;
        ok $seen->(), '... and with the next goconnectd, of which the server is away';
        $plane->resume;
        ok until_true(sub { $a->control eq 'connected' }), 'the server is back';
    }
    $plane->remove_peer($lan, $peer->{id});
};

# A peer's route of its own has the MTU that probes have found; nobody knows it
# after a kill.
subtest 'kill -9 when a path was found to be narrow' => sub {
    joined();
    my $before = $a->dump;
    my ($peer) = $before =~ /^(10\.\d+\.\d+)\.\d+\/\d+ dev gc-lan/m or die $before;
    $a->stop('KILL');
    $a->host->must('ip', 'route', 'add', "$peer.2/32", qw(dev gc-lan proto 201 mtu 1200));
    isnt $a->dump, $before, 'a route is left';
    $a->daemon;
    ok until_true(sub { $a->dump eq $before }), 'the next goconnectd takes it away';
};

subtest 'a record that somebody died over' => sub {
    joined();
    $a->stop('KILL');
    $a->host->must('touch', "$state/wireguard/wireguard-go/gc-gone.next");
    $a->daemon;
    isnt +($a->host->run('ls', "$state/wireguard/wireguard-go/gc-gone.next"))[0], 0, 'is cleared away';
};

subtest 'damaged state' => sub {
    $a->daemon if !$a->{daemon};
    $a->must('join', $lan->{link});
    ok up(), 'joined';
    my $id = $lan->{id};
    for my $case (
        [ "netmaps/$id.json", 'the netmap' ], [ "networks/$id.json", 'the network\'s record' ],
    ) {
        my ($file, $what) = @$case;
        for my $content ('', '{', '{}', '[]', '{"private_key": 5}') {
            $a->stop;
            $a->host->must('sh', '-c', "umask 077; printf '%s' '$content' > $state/$file");
            $a->daemon;
            ok until_true(sub { ($a->network_of('Lan') // { state => '' })->{state} eq 'up' }),
                "$what is '$content': fetched or made again";
            ok up(), '... with its peer';
            is_deeply [ $a->interfaces ], ['gc-lan'], '... on one interface';
        }
    }
    is sprintf('%04o', (stat '/proc/' . $a->host->pid . "/root$state/networks/$id.json")[2] & 07777),
        '0600', 'records are their owner\'s alone';
    is $a->host->must('find', $state, '-ignore_readdir_race', '-perm', '/077'), '', 'so is everything else';

    $a->stop;
    $a->host->must('sh', '-c', "umask 077; echo x > $state/device.json; echo x > $state/networks/$id.json.new");
    $a->daemon;
    is $a->control, 'logged_out', 'the device\'s document is damaged: logged out';
    ok $a->host->must('sh', '-c', "ls $state") =~ /device\.json\.damaged/, '... and kept aside';
    ok up(), '... the mesh stands';
    ok $a->host->must('sh', '-c', "ls $state/networks") !~ /\.new/, 'what was half written is gone';
};

subtest 'configuration' => sub {
    my $run = sub { $a->host->run({ timeout => 10 }, "$BUILD/goconnectd", @_) };
    my ($status, $said) = $run->('--help');
    is $status, 0, '--help';
    like $said, qr/--backend NAME/, '... tells';
    for my $bad (
        [ qr/backend is auto, kernel or userspace/, '--backend', 'x' ],
        [ qr/log-level is error/, '--log-level', 'x' ], [ qr/absolute path/, '--state', 'x' ],
        [ qr/not an option: "x"/, 'x' ], [ qr/see goconnectd --help/, '--nonsense' ],
        [ qr/cannot read \/nowhere/, '--config', '/nowhere' ],
    ) {
        my ($pattern, @args) = @$bad;
        ($status, $said) = $run->(@args);
        is $status, 2, "@args: exit 2";
        like $said, $pattern, '... says so';
    }
    $a->host->must('sh', '-c', 'printf "# x\nstate = /var/lib/goconnect\nbackend = sideways\n" > /run/conf');
    ($status, $said) = $run->('--config', '/run/conf');
    like $said, qr{/run/conf, line 3: backend is}, 'the line of a bad setting is named';
    ($status, $said) = $run->('--ca', '/nowhere', '--state', '/run/s2', '--socket', '/run/s2.sock');
    is $status, 1, 'no such --ca';
    like $said, qr{cannot read the certificates in /nowhere}, '... says so';
    is $a->host->must('sh', '-c', "sed 's/^#\\([a-z-]* = \\)/\\1/; /^ca /d' $FindBin::Bin/../../conf/goconnectd.conf > /run/all; "
        . "timeout 3 $BUILD/goconnectd --config /run/all --state /run/s3 --socket /run/s3.sock --backend userspace 2>&1; echo \$?")
        =~ /is ready/ ? 1 : 0, 1, 'every setting of the shipped file is taken';
};

$a->stop;
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;

# kill -9 after every single step: each netlink request, each transaction of
# nftables, each message to wireguard-go, each process, file and signal of
# getting from one state to another. The next start ends where an undisturbed
# one does, and nothing is left of what was begun.
#
# What is counted is in t/drivers/fault.c, so that no step can be forgotten
# here; a case is repeated until the daemon gets to its end alive.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my ($lab, $plane, $ada) = lab_with_agent(login => 1);
my $json = JSON::PP->new->canonical;
my $folder = '/var/lib/goconnect';
my $states = $lab->dir . '/states';
mkdir $states or die $!;

# ---------------------------------------------------------- the states to be in

# What the daemon knows, to be put on any host's disk.
sub keep {
    my ($name) = @_;
    $ada->stop;
    $ada->host->must('sh', '-c', "mkdir $states/$name && cp -a $folder/device.json "
        . "$folder/networks $folder/netmaps $states/$name");
    return;
}

# A state made from another one: change() gets a record or a netmap.
sub derive {
    my ($name, $from, $change) = @_;
    system('cp', '-a', "$states/$from", "$states/$name") == 0 or die;
    for my $file (glob "$states/$name/net*/*.json") {
        open my $in, '<', $file or die $!;
        my $document = $json->decode(do { local $/; <$in> });
        $change->($document->{netmap} // $document);
        open my $out, '>', $file or die $!;
        print $out $json->encode($document);
        close $out;
    }
    return;
}

sub network {
    my ($name, $mode, @keys) = @_;
    my $network = $plane->network($name, { mode => $mode, cidr6 => 'fd77:' . ord($name) . '::/64' });
    $plane->add_peer($network, { public_key => key($_), endpoints => [ '198.51.1.77:' . (7000 + $_) ] })
        for @keys;
    $ada->daemon if !$ada->{daemon};
    $ada->must('join', $network->{link});
    return $network->{id};
}

my @rules = map { { action => 'deny', source => $_->[0], destination => 'any', protocol => $_->[1],
    port_first => $_->[2], port_last => $_->[2] } } [ 'role:member', tcp => 22 ], [ 'any', udp => 53 ];

keep('none');
my $lan = network('Lan', 'l3', 1 .. 4);
keep('l3');
derive('down', 'l3', sub { $_[0]{up} = JSON::PP::false if exists $_[0]{up} });

# Who this device is in a netmap, and the others.
sub members {
    my ($map) = @_;
    my ($me) = grep { $_->{username} eq 'ada' } @{ $map->{peers} };
    return ($me, grep { $_ != $me } @{ $map->{peers} });
}

# One peer has gone, one has come, one moved, one has another key; this device
# became the network's gateway.
derive('changed', 'l3', sub {
    my ($map) = @_;
    return if !$map->{peers};
    my ($me, @other) = members($map);
    $map->{rules} = \@rules;
    $map->{network}{settings}{mtu} = 1380;
    $me->{gateway} = JSON::PP::true;
    my $gone = shift @other;
    $other[0]{endpoints} = ['198.51.1.78:7100'];
    $other[1]{public_key} = key(20);
    my $new = { %{ $other[2] }, id => $gone->{id}, public_key => key(21), ip_address => '10.77.1.99',
        ip6_address => 'fd77:76::99', name => 'new' };
    $map->{peers} = [ sort { $a->{id} cmp $b->{id} } $me, @other, $new ];
});

# A subnet behind somebody is accepted, and one behind this device approved.
my %kept = (exit => '', all => JSON::PP::false, accepted => [], refused => [], plain => []);
derive('routed', 'l3', sub {
    my ($map) = @_;
    return $map->{routes} = { %kept, accepted => ['10.200.0.0/24'] } if !$map->{peers};
    my ($me, @other) = members($map);
    $me->{routes} = [ '10.201.0.0/24', 'fd88::/64' ];
    $_->{routes} = [ '10.200.0.0/24', '10.202.0.0/24' ] for @other[0, 1];
});

# All goes by way of a member, whose key is about to change, as is this device's.
# The netmap comes before the record.
my $exit;
derive('exit', 'l3', sub {
    my ($document) = @_;
    if (!$document->{peers}) {
        @$document{qw(routes next_private_key)} = ({ %kept, exit => $exit }, key(31));
        return;
    }
    my (undef, $one) = members($document);
    ($exit, @$one{qw(routes next_public_key)}) = ($one->{id}, [ '0.0.0.0/0', '::/0' ], key(30));
});
$ada->daemon;
$ada->must('leave', 'Lan');
my $games = network('Games', 'l2', 11 .. 13);
keep('l2');
derive('moved', 'l2', sub {
    my ($map) = @_;
    return if !$map->{peers};
    my ($one, $two) = grep { $_->{username} ne 'ada' } @{ $map->{peers} };
    $map->{peers} = [ grep { $_ != $one } @{ $map->{peers} } ];
    $two->{ip6_address} = 'fd77:71::98';
});

# ------------------------------------------------------------- there, and killed

# The host as after a start of the machine, with this on its disk.
sub host_of {
    my ($name) = @_;
    my $agent = AgentTest->new($lab, $name);
    $agent->host->must('ip', 'route', 'add', 'unreachable', '198.18.0.1');
    $agent->host->must('mkdir', '-p', '-m', '700', $folder);
    return $agent;
}

sub lay {
    my ($agent, $state) = @_;
    $agent->host->must('sh', '-c', "rm -rf $folder/net* && cp -a $states/$state/. $folder");
    return;
}

# Starts the daemon; what it died after, undef if it lived until it answered.
sub dies {
    my ($agent, $step) = @_;
    $agent->fault($step);
    my $up = eval { $agent->daemon_with_fault; until_true(sub {
        !$agent->host->running($agent->{daemon}) || ($agent->cli('status'))[0] == 0;
    }, 60) };
    my $after = $agent->died_after;
    die 'goconnectd neither answers nor was killed: ' . $agent->log if !$up && !defined $after;
    $agent->fault(0);
    $agent->stop('KILL') if !defined $after;
    delete $agent->{daemon};
    return $after;
}

# It lives, and all is as it shall be; else what is different.
sub comes_to {
    my ($agent, $want) = @_;
    my $have;
    $agent->daemon;
    until_true(sub { ($have = $agent->full_dump) eq $want }, 15);
    $agent->stop('KILL');
    return $have eq $want ? '' : difference($want, $have);
}

sub difference {
    my ($want, $have) = @_;
    my (%want, %have);
    $want{$_}++ for split /\n/, $want;
    $have{$_}++ for split /\n/, $have;
    return join "\n", (map { "- $_" } grep { !$have{$_} } sort keys %want),
        (map { "+ $_" } grep { !$want{$_} } sort keys %have), 'or the order';
}

# The dump of a state on this host, reached by nothing but itself.
sub reached {
    my ($agent, $state, $lines) = @_;
    lay($agent, $state);
    $agent->daemon;
    my ($network) = @{ $agent->json('status')->{networks} };
    my ($is, $want) = ($network ? $network->{state} : 'none', $state =~ /^(?:none|down)$/ ? $state : 'up');
    push @$lines, ($is eq $want ? 'ok' : 'not ok') . " state $state: the network is $is";
    my $dump = $agent->full_dump;
    $agent->stop('KILL');
    return $dump;
}

# To and fro between two states, killed after one step further every time, from
# the given one on: "ok NAME" or "not ok NAME: WHY".
sub ways {
    my ($agent, $here, $there, $step, $stride) = @_;
    my (@lines, %good, %steps);
    for my $state ('none', $there, 'none', $here) {
        my $dump = reached($agent, $state, \@lines);
        push @lines, "not ok something of it is left: " . difference($good{$state}, $dump)
            if ($good{$state} // $dump) ne $dump;
        $good{$state} = $dump;
    }
    push @lines, ($good{$here} ne $good{$there} ? 'ok' : 'not ok') . " $here is not $there";
    for (; !$steps{$here} || !$steps{$there}; $step += $stride) {
        for my $to ($there, $here) {
            my $name = "to $to";
            lay($agent, $to);
            if (!$steps{$to}) {
                my $after = dies($agent, $step);
                $steps{$to} = $step if !defined $after;
                $name .= defined $after ? ", killed after step $step ($after)" : ' alive';
            }
            my $different = comes_to($agent, $good{$to});
            push @lines, $different ? "not ok $name: $different" : "ok $name";
        }
    }
    push @lines, ($_ > 3 ? 'ok' : 'not ok') . " in less than $_ steps" for values %steps;
    return @lines;
}

# Each on a host of its own and all at once: they mostly wait.
my @ways = ([ 'none', 'l3', 1, 1 ], [ 'l3', 'changed', 1, 1 ], [ 'none', 'l2', 1, 2 ], [ 'none', 'l2', 2, 2 ],
    [ 'l2', 'moved', 1, 1 ], [ 'l3', 'routed', 1, 1 ], [ 'routed', 'exit', 1, 1 ],
    $ENV{FULL} ? [ 'l3', 'down', 1, 1 ] : ());
my @host = map { host_of("h$_") } 0 .. $#ways;
my @child;

for my $n (0 .. $#ways) {
    open my $out, '>', $lab->dir . "/way$n" or die $!;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my @lines = eval { ways($host[$n], @{ $ways[$n] }) };
        push @lines, "not ok the test itself: $@" if $@;
        print $out $json->ascii->encode(\@lines);
        close $out;
        POSIX::_exit(0);
    }
    push @child, $pid;
}

for my $n (0 .. $#ways) {
    waitpid $child[$n], 0;
    my ($here, $there, $step, $stride) = @{ $ways[$n] };
    subtest "between $here and $there, every $stride. step from $step" => sub {
        open my $in, '<', $lab->dir . "/way$n" or die $!;
        my $lines = eval { $json->decode(<$in>) } // ['not ok it said nothing'];
        for my $line (@$lines) {
            my ($not, $what) = $line =~ /^(not )?ok (.*)/s;
            ok !$not, $what;
        }
    };
    unlike $host[$n]->log, qr/Sanitizer/, '... and no sanitizer has complained';
}

$ada->stop if $ada->{daemon};
$lab->destroy;
done_testing;

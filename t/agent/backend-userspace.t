#!/usr/bin/perl
# wireguard-go, driven by its UAPI socket, in namespaces of this machine: what
# every back end must do, and what only one made of processes can get wrong.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $root;
BEGIN { $root = abs_path(dirname(__FILE__) . '/../..') }
use lib "$root/t/lib";
use GoConnect::Backend;
use Test::More;

GoConnect::Backend::suite('userspace', peers => 1000, more => sub {
    my ($name) = @_;
    my $file = GoConnect::Backend::file(GoConnect::Backend::network($name, 50011,
        [ map { GoConnect::Backend::peer($_) } 1 .. 5 ]));

    subtest 'wireguard-go is killed' => sub {
        my ($status, $text) = GoConnect::Backend::driver('a', 'apply', $file);
        is $status, 0, 'up' or diag $text;
        my $whole = GoConnect::Backend::state('a');
        my $pid = process($name);
        die "no process" if ($pid // 0) < 2;
        kill KILL => $pid;
        ok gone($pid), 'it is gone';
        ok -S "/run/wireguard/$name.sock", 'its socket is left behind';
        ($status, $text) = GoConnect::Backend::driver('a', 'apply', $file);
        is $status, 0, 'the next run' or diag $text;
        is_deeply [ split /\n/, GoConnect::Backend::state('a') ], [ split /\n/, $whole ],
            'brings all back' or diag "before:\n$whole\nafter:\n", GoConnect::Backend::state('a');
        isnt process($name), $pid, 'by another process';
        GoConnect::Backend::driver('a', 'down');
        ok !-e "/run/wireguard/$name.sock", 'down leaves no socket';
        is process($name), undef, 'and no process';
    };

    subtest 'a record is not believed blindly' => sub {
        GoConnect::Backend::driver('a', 'apply', $file);
        my $record = GoConnect::Backend::folder('a') . "/wireguard-go/$name.process";
        open my $fh, '<', $record or die "$record: $!";
        my @field = split ' ', scalar <$fh>;
        my $real = $field[0];
        # somebody else's process has got the number
        my $other = fork // die "fork: $!";
        exec 'sleep', '60' if !$other;
        open $fh, '>', $record or die "$record: $!";
        print $fh join(' ', $other, @field[1 .. 3]), "\n";
        close $fh;
        GoConnect::Backend::driver('a', 'down');
        ok kill(0 => $other), 'the stranger is left alone';
        kill TERM => $other;
        waitpid $other, 0;
        is system("ip netns exec " . GoConnect::Backend::netns('a') . " ip link show $name "
            . '>/dev/null 2>&1') >> 8, 1, 'and the interface is removed all the same';
        ok gone($real), 'with which its real process ends';

        # a record from before a restart, and somebody else's interface
        my @in = ('ip', 'netns', 'exec', GoConnect::Backend::netns('a'), 'ip', 'link');
        is system(@in, 'add', $name, 'type', 'bridge'), 0, 'the name is taken by others';
        open $fh, '>', $record or die "$record: $!";
        print $fh join(' ', @field), "\n";
        close $fh;
        GoConnect::Backend::driver('a', 'down');
        ok !-e $record, 'the old record goes';
        is system(@in, 'del', $name), 0, 'their interface stays';

        open $fh, '>', $record or die "$record: $!";
        print $fh "rubbish\n";
        close $fh;
        my ($status, $text) = GoConnect::Backend::driver('a', 'apply', $file);
        is $status, 0, 'an unreadable record is in nobody\'s way' or diag $text;
        GoConnect::Backend::driver('a', 'down');
        ok !-e $record, 'and goes';
    };

    subtest 'killed at any moment' => sub {
        my @wrong;
        GoConnect::Backend::driver('a', 'down');
        my $clean = GoConnect::Backend::state('a');
        GoConnect::Backend::driver('a', 'apply', $file);
        my $whole = GoConnect::Backend::state('a');
        for my $n (1 .. 20) {
            GoConnect::Backend::driver('a', 'down');
            my $pid = fork // die "fork: $!";
            if (!$pid) {
                open STDOUT, '>', '/dev/null';
                exec GoConnect::Backend::command('a', 'apply', $file);
            }
            select undef, undef, undef, $n * 0.002;
            kill KILL => $pid;
            waitpid $pid, 0;
            if ($n % 2) {
                my ($status, $text) = GoConnect::Backend::driver('a', 'apply', $file);
                my $differs = GoConnect::Backend::differs('a', $whole);
                push @wrong, "$n: $text$differs" if $status || $differs;
            }
            GoConnect::Backend::driver('a', 'down');
            my $differs = GoConnect::Backend::differs('a', $clean);
            push @wrong, "$n: an orphan: $differs"
                if $differs || defined process($name) || -e "/run/wireguard/$name.sock";
        }
        is_deeply \@wrong, [], 'the next run ends as if nothing had happened';
    };

    subtest 'two hosts on one machine with one interface name' => sub {
        for my $ns (qw(a b)) {
            my ($status, $text) = GoConnect::Backend::driver($ns, 'apply', $file);
            is $status, 0, "$ns is up" or diag $text;
            ($status, $text) = GoConnect::Backend::driver($ns, 'apply', $file);
            is $text, "operations 0\n", 'and sees its own';
        }
        GoConnect::Backend::driver('b', 'down');
        ok defined process($name), 'one goes down, the other stays';
        my ($status, $text) = GoConnect::Backend::driver('a', 'apply', $file);
        is $text, "operations 0\n", 'untouched';
        GoConnect::Backend::driver('a', 'down');
        is process($name), undef, 'both are gone';
    };

    subtest 'wireguard-go cannot make the interface' => sub {
        my $long = GoConnect::Backend::file(GoConnect::Backend::network('gc/bad', 50011,
            [ GoConnect::Backend::peer(1) ]));
        my ($status, $text) = GoConnect::Backend::driver('a', 'apply', $long);
        is $status >> 8, 1, 'a name that no interface can have';
        like $text, qr/^backend: error \d+: \S/m, 'is an error with a reason';
        ($status, $text) = GoConnect::Backend::driver('a', 'dump');
        is $text, '', 'and leaves nothing';
    };
});

# The wireguard-go that serves an interface, by /proc.
sub process {
    my ($name) = @_;
    for my $file (glob '/proc/[0-9]*/cmdline') {
        open my $fh, '<', $file or next;
        my $line = do { local $/; <$fh> } // '';
        return (split m{/}, $file)[2] if $line eq "wireguard-go\0-f\0$name\0";
    }
    return undef;
}

# Waits until a process has ended (a zombie has).
sub gone {
    my ($pid) = @_;
    for (1 .. 1000) {
        open my $fh, '<', "/proc/$pid/stat" or return 1;
        return 1 if (<$fh> // '') =~ /\) Z/;
        select undef, undef, undef, 0.01;
    }
    return 0;
}

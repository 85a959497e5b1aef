#!/usr/bin/perl
# The same agent in the virtual machine on Debian's kernel, with its WireGuard,
# VXLAN and nftables: a daemon that is killed, LAN mode, and what t/e2e plays on
# wireguard-go: the rules, broadcasts, changes of key, narrow paths, subnets and
# the internet by way of a member, three networks at once, other places and a
# sleep. One boot, one server (nginx and PostgreSQL inside too) and three devices
# for all of it.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Time::HiRes qw(time);

my ($root, $self);
BEGIN {
    $self = abs_path(__FILE__);
    $root = abs_path(dirname(__FILE__) . '/../..');
}
use lib "$root/t/lib";
use GoConnect::VM;
use Test::More;

# The database's template is made out here, where it takes seconds.
GoConnect::VM::enter($self, seconds => 1700, memory => 2048, before => sub {
    require GoConnect::Cluster;
    GoConnect::Cluster->start->destroy;
});

require GoConnect::Scenario;
require "GoConnect/Scenario/$_.pm" for qw(Exit Firewall Kernel Networks Probe Reflector Roam Rotation Routes);

my $began = time;

sub scenario {
    my ($name, $play) = @_;
    subtest $name => $play;
    diag sprintf '%s: %.0f s', $name, time - $began;
    $began = time;
    return;
}

my $w = GoConnect::Scenario->begin;
my @log = (args => [qw(--insecure --log-level debug)]);
my @all = my ($ada, $bob, $cyd) = map {
    $w->device($_, @log, $_ eq 'ada' ? GoConnect::Scenario::Roam::sleeper($w) : ()) } qw(ada bob cyd);
is $_->json('status')->{backend}, 'kernel', $_->name . ': by the kernel' for @all;
diag sprintf 'a server and three devices: %.0f s', time - $began;
$began = time;

# first, as ada comes as an admin
scenario 'rules' => sub {
    my $f = GoConnect::Scenario::Firewall::play($w, $cyd, $ada, $bob);
    subtest 'rules of the host' => sub { $f->by_hand };
    $w->dissolve($f->{network}, $ada, $bob);
};

scenario 'a daemon that is killed' => sub {
    my $network = GoConnect::Scenario::Kernel::killed($w, $ada, $bob);
    $w->dissolve($network, $ada, $bob);
};

scenario 'broadcasts' => sub {
    my $r = GoConnect::Scenario::Reflector::play($w, $ada, $bob);
    $w->dissolve($r->{network}, $ada, $bob);
};

scenario 'LAN mode' => sub {
    my $network = GoConnect::Scenario::Kernel::lan($w, $ada, $bob);
    $w->dissolve($network, $ada, $bob);
};

scenario 'changes of key' => sub {
    my $r = GoConnect::Scenario::Rotation::play($w, @all);
    $w->dissolve($r->{network}, @all);
};

scenario 'paths' => sub {
    my $p = GoConnect::Scenario::Probe::play($w, $ada, $bob);
    subtest 'a path that swallows large packets' => sub { $p->narrow };
    $w->dissolve($p->{network}, $ada, $bob);
};

scenario 'subnets' => sub {
    my $r = GoConnect::Scenario::Routes::play($w, @all);
    subtest 'taken back' => sub { $r->taken_back };
    $w->dissolve($r->{network}, @all);
};

scenario 'the internet by way of a member' => sub {
    my $e = GoConnect::Scenario::Exit::play($w, $ada, $bob);
    $w->dissolve($e->{network}, $bob);
};

# from then on she lives an hour ahead
scenario 'roaming' => sub {
    my $r = GoConnect::Scenario::Roam::play($w, $ada, $bob);
    $w->dissolve($r->{network}, $ada, $bob);
};

# last: the server is gone for a while
scenario 'three networks' => sub {
    my $n = GoConnect::Scenario::Networks::play($w, @all);
    subtest 'leaving one leaves the others' => sub { $n->leaving };
    subtest 'a reboot while there is no server' => sub { $n->reboot };
};

$w->end;
done_testing;

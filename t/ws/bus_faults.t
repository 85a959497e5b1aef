# What becomes of a server whose bus fails: events take longer, none is lost, no
# write fails, who is revoked is out, and the bus comes back by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Pair;
use GoConnect::Redis;
use Test::More;

my $redis = GoConnect::Redis->start(password => 'right');

subtest 'Redis ends and comes back' => sub {
    my $pair = GoConnect::Pair->start($redis->bus);
    $pair->bus_is(1, 'the bus is up');
    ok $pair->signal, 'signals cross';
    $redis->kill;
    $pair->arrive($_, 3, 'events arrive without a bus') for 0, 1;
    $pair->bus_is(0, 'the metrics say that it is down');
    $pair->revoked('without it, too, a logout ends the sockets of either node');
    $redis->up;
    $pair->bus_is(1, 'it comes back');
    ok $pair->signal, 'signals cross again';

    $redis->command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    $pair->arrive(0, 1, 'the listening connection is cut');
    $pair->bus_is(1, '... and comes back');
    $redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $pair->arrive(0, 1, 'the publishing one is cut');
    $pair->bus_is(1, '... and comes back');
    ok $pair->signal, 'signals cross again';
    $pair->stop;
};

subtest 'Redis is frozen' => sub {
    my $pair = GoConnect::Pair->start($redis->bus(unix => 1));
    $pair->bus_is(1, 'the bus is up');
    $redis->freeze;
    $pair->arrive($_, 20, 'events arrive all the same') for 0, 1;
    $pair->revoked('... and a logout ends the sockets');
    $pair->bus_is(0, 'the heartbeat finds it');
    $pair->arrive(0, 3, 'events arrive when connecting hangs');
    $redis->thaw;
    $pair->bus_is(1, 'it comes back');
    ok $pair->signal, 'signals cross';
    $pair->stop;
};

subtest 'a listening connection is frozen, then killed' => sub {
    my $pair = GoConnect::Pair->start('notify');
    $pair->bus_is(1, 'the bus is up');
    my $listeners = "FROM pg_stat_activity WHERE datname = current_database() "
        . "AND usename = 'goconnect' AND query ~ '^(LISTEN|SELECT 1)'";
    my @pid = split /\n/, $pair->{s}->sql("SELECT pid $listeners");
    is scalar @pid, 2, 'two connections listen';
    my $failed = $pair->counter(0, 'goconnect_bus_connection_failures_total');
    kill 'STOP', @pid;
    $pair->arrive($_, 3, 'events arrive') for 0, 1;
    $pair->revoked('... and a logout ends the sockets');
    $pair->{s}->_await('the ping', sub {
        $pair->counter(0, 'goconnect_bus_connection_failures_total') > $failed }, 60);
    pass 'the ping finds it';
    $pair->bus_is(1, 'others take their place');
    kill 'CONT', @pid;
    $pair->{s}->_await('the old ones to go', sub { $pair->{s}->sql("SELECT count(*) $listeners") == 2 });
    $pair->{s}->sql("SELECT pg_terminate_backend(pid) $listeners");
    $pair->arrive($_, 3, 'events arrive') for 0, 1;
    $pair->bus_is(1, 'the bus comes back');
    ok $pair->signal, 'signals cross';
    $pair->stop;
};

$redis->stop;
done_testing;

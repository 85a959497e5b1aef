# The history of a server of two nodes that are killed, frozen and cut off while
# four clients write and four follow: what was acknowledged is lost nowhere,
# nothing is invented, and everybody sees each topic in its order. Once over each
# bus.
#
# SEED=N repeats a run; in full (make soak) there are 10,000 events for each bus.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::History::Faults;
use GoConnect::History::Run;
use GoConnect::Nodes;
use GoConnect::Redis;
use Test::More;

my $full = $ENV{GOCONNECT_FULL};
my $seed = $ENV{SEED} || time % 100000;
diag("SEED=$seed repeats this");

sub history {
    my ($redis) = @_;
    # without fsync: a killed process loses nothing that it wrote, and the figures
    # are not those of the disk
    my $nodes = GoConnect::Nodes->start(workers => 2, cluster => 'own', bus => $redis && $redis->bus);
    my @node = $nodes->all;
    $nodes->allow(@GoConnect::History::Faults::PROVOKED);
    my $run = GoConnect::History::Run->start(nodes => \@node, seed => $seed,
        slices => $full ? 90 : 12, each => $full ? 2500 : 250);
    srand $seed;
    my $faults = GoConnect::History::Faults->new(nodes => \@node, run => $run, redis => $redis);
    my %struck;
    $run->faults(sub { $struck{$_}++ for $faults->strike });
    $_->wait_pool for @node;
    my $result = $run->finish;

    is_deeply $result->{violations}, [], 'the history is one that a server without faults could have';
    diag(join ', ', map { "$_: $struck{$_}" } sort keys %struck);
    diag($run->tell($result));
    my $f = $result->{figures};
    cmp_ok $f->{ok}, '>', 0.9 * $f->{ops}, 'most of what was asked for was done';
    cmp_ok $f->{duplicate_share}, '<=', 0.01, 'hardly an event is seen twice';
    $nodes->stop;
    return;
}

subtest 'LISTEN and NOTIFY' => sub { history() };
subtest 'Redis' => sub {
    my $redis = GoConnect::Redis->start(password => 'secret');
    history($redis);
    $redis->stop;
};
done_testing;

# The history of a server of two nodes that are killed, frozen and cut off while
# four clients write and four follow: what was acknowledged is lost nowhere,
# nothing is invented, and everybody sees each topic in its order.
#
# SEED=N repeats a run; in full (make soak) there are 10,000 events.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::History::Faults;
use GoConnect::History::Run;
use GoConnect::Nodes;
use Test::More;

my $full = $ENV{GOCONNECT_FULL};
my $seed = $ENV{SEED} || time % 100000;
diag("SEED=$seed repeats this");

# a killed process loses nothing that it wrote; fsync makes only recovery longer
my $nodes = GoConnect::Nodes->start(workers => 2, cluster => 'own', fsync => $full,
    bus => $ENV{GOCONNECT_BUS});
my @node = $nodes->all;
$nodes->allow(@GoConnect::History::Faults::PROVOKED);

my $slices = $full ? 90 : 19;
my $run = GoConnect::History::Run->start(nodes => \@node, seed => $seed, slices => $slices,
    each => $full ? 2500 : 400);
srand $seed;
my $faults = GoConnect::History::Faults->new(nodes => \@node, run => $run);
my %struck;
$run->faults(sub { $struck{$_}++ for $faults->strike });
$_->wait_pool for @node;
my $result = $run->finish;

is_deeply $result->{violations}, [], 'the history is one that a server without faults could have';
my $f = $result->{figures};
diag(join ', ', map { "$_: $struck{$_}" } sort keys %struck);
diag(sprintf '%d ops (%d acknowledged, %d unknown, %d failed; %d were tried again), %d events seen in '
    . '%d connections, %d resyncs, %d twice (%.2f %%)', @$f{qw(ops ok)}, map({ $_ // 0 } @$f{qw(unknown failed
    retried)}), @$f{qw(events connections resyncs duplicates)}, 100 * $f->{duplicate_share});
for my $what ([ catch_up => 'from connecting to being in step' ], [ outage => 'from the loss to being in step' ],
    [ lag => 'from acknowledged to seen' ]) {
    my $v = $f->{ $what->[0] };
    diag(sprintf '%s: %d, p50 %.3f s, p99 %.3f s, at most %.3f s', $what->[1], $v->{n},
        map { $_ // 0 } @$v{qw(p50 p99 max)});
}
cmp_ok $f->{ok}, '>', 0.9 * $f->{ops}, 'most of what was asked for was done';
cmp_ok $f->{duplicate_share}, '<=', 0.01, 'hardly an event is seen twice';
cmp_ok $f->{catch_up}{p99}, '<', 20, 'who comes back is soon in step';

$nodes->stop;
done_testing;

# Three devices in three networks at once: each network stands by itself, what
# overlaps is refused by name, and what somebody changes by hand is mended.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Networks;

my $w = GoConnect::Scenario->begin(workers => 2);
my $n = GoConnect::Scenario::Networks::play($w, map { $w->device($_) } qw(ada bob cyd));
subtest 'leaving one leaves the others' => sub { $n->leaving };
subtest 'a reboot while there is no server' => sub { $n->reboot };
$w->end;
done_testing;

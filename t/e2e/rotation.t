# A device's key changes while somebody talks: nothing is lost but what is on
# its way in that moment. One that is away meanwhile, two at once, and daemons
# that are killed in the middle find together again.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Rotation;

my $w = GoConnect::Scenario->begin;
my $r = GoConnect::Scenario::Rotation::play($w,
    map { $w->device($_, args => [qw(--insecure --log-level debug)]) } qw(ada bob eve));
subtest 'killed in the middle' => sub { $r->killed(qw(announcing waiting committing)) };
$w->end;
done_testing;

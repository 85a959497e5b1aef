# A device is carried to another network and back, while either side talks, and
# it wakes up from a sleep: the tunnel and the control connection come back by
# themselves.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Roam;

my $w = GoConnect::Scenario->begin;
my $ada = $w->device('ada', GoConnect::Scenario::Roam::sleeper($w));
GoConnect::Scenario::Roam::play($w, $ada, $w->device('bob'));
$w->end;
done_testing;

# Games that look for each other by broadcast: in a network of mode l3 they
# find each other on the ports that the network lists, and on no other.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Reflector;

my $w = GoConnect::Scenario->begin;
GoConnect::Scenario::Reflector::play($w, map { $w->device($_) } qw(ada bob));
$w->end;
done_testing;

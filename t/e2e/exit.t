# The internet by way of a member: what is outside sees his address, of both
# families; the control connection, the own LAN and answers go beside it; while
# he is gone nothing leaves; off, down and leave take all of it back, also after
# a kill.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Exit;

my $w = GoConnect::Scenario->begin;
GoConnect::Scenario::Exit::play($w, map { $w->device($_) } qw(ada home));
$w->end;
done_testing;

# Core and plan where the greater byte comes first.

use strict;
use warnings;
use GoConnect::Portable;

GoConnect::Portable::unit_tests('s390x', 's390x-linux-gnu', 'qemu-s390x');

# Core and plan where a pointer, a size and a time have 32 bits.

use strict;
use warnings;
use GoConnect::Portable;

GoConnect::Portable::unit_tests('armhf', 'arm-linux-gnueabihf', 'qemu-arm');

#!/usr/bin/perl
# The kernel's WireGuard, driven by generic netlink, in a virtual machine with
# Debian's kernel: this file starts itself again inside it.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my ($root, $self);
BEGIN {
    $self = abs_path(__FILE__);
    $root = abs_path(dirname(__FILE__) . '/../..');
}
use lib "$root/t/lib";
use GoConnect::VM;

GoConnect::VM::enter($self, seconds => 900);

require GoConnect::Backend;
GoConnect::Backend::suite('kernel', peers => 1000);

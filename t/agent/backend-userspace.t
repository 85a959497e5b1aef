#!/usr/bin/perl
# wireguard-go, driven by its UAPI socket, in namespaces of this machine: what
# every back end must do, and what only one made of processes can get wrong.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $root;
BEGIN { $root = abs_path(dirname(__FILE__) . '/../..') }
use lib "$root/t/lib";
use GoConnect::Backend;
use Test::More;

GoConnect::Backend::suite('userspace', peers => 1000);

# Core and plan compile for Windows.

use strict;
use warnings;
use GoConnect::Portable;
use Test::More;

delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
my ($status, $said) =
    GoConnect::Portable::run('make', '-s', '--no-print-directory', 'portable');
is $status, 0, 'every file, without a warning' or diag $said;
my $files = () = $said =~ /^  WIN /mg;
my $sources = () = (glob('ngx_goconnect_module/core/*.c'), glob('agent/plan/*.c'));
is $files, $sources, 'each once';
done_testing;

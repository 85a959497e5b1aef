package GoConnect::Portable;

# The unit tests of core and plan, built for another machine and run by qemu:
# other byte order, other sizes, other alignment.
#
#   GoConnect::Portable::unit_tests('s390x', 's390x-linux-gnu', 'qemu-s390x');

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Test::More;

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');

# (exit status, output) of a command.
sub run {
    my (@command) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or do { print "$command[0]: $!\n"; require POSIX; POSIX::_exit(127) };
    }
    my $said = do { local $/; <$out> } // '';
    close $out;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $said);
}

sub build {
    my ($triplet, $root, $b) = @_;
    my ($status, $said) = run("$triplet-gcc", qw(-O2 -Wall -Wextra -c -It/portable -o),
        "$b/criterion.o", 't/portable/criterion.c');
    return ($status, $said) if $status;
    my $lib = "$root/usr/lib/$triplet";
    return run('make', '-s', '--no-print-directory', 'unit', "B=$b", "CC=$triplet-gcc",
        "AR=$triplet-ar", 'CFLAGS=-O1',
        "PKG_CFLAGS=-It/portable -isystem $root/usr/include -isystem $root/usr/include/$triplet",
        "UNIT_LIBS=$b/criterion.o -L$lib -Wl,-rpath-link,$lib -ljansson -ljwt -lcrypto -lcrypt"
            . ' -lpthread');
}

sub unit_tests {
    my ($arch, $triplet, $qemu) = @_;
    chdir $ROOT or die "$ROOT: $!";
    delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
    my ($status, $said) = run("$ROOT/t/portable/sysroot", $arch);
    my ($root) = $said =~ m{^(/.*/root)$}m;
    ok $status == 0 && $root, "the libraries of $arch" or do {
        diag $said;
        return done_testing();
    };
    my $b = dirname($root);
    ($status, $said) = build($triplet, $root, $b);
    is $status, 0, 'built without a warning' or do {
        diag $said;
        return done_testing();
    };
    for my $source (sort glob 't/unit/*.c') {
        my $name = basename($source, '.c');
        ($status, $said) = run($qemu, '-L', "/usr/$triplet", '-E',
            "LD_LIBRARY_PATH=$root/usr/lib/$triplet:$root/lib/$triplet", "$b/unit/$name");
        my ($planned) = $said =~ /^1\.\.([1-9][0-9]*)$/m;
        my $good = () = $said =~ /^ok /mg;
        ok $status == 0 && $planned && $good == $planned, "$name on $arch" or diag $said;
    }
    return done_testing();
}

1;

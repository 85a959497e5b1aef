package GoConnect::VM;

# Runs a test file inside the virtual machine of t/kernel: the first call, on
# the host, becomes that machine with the same file in it; the second one,
# inside, returns.
#
#   GoConnect::VM::enter(abs_path(__FILE__), seconds => 300);
#
# Options: seconds (a guard against hanging), memory (MiB), before (what is
# better done on the host).

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');

sub installed {
    my ($program) = @_;
    return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub enter {
    my ($file, %opt) = @_;
    return if $ENV{GOCONNECT_IN_VM};
    if (!installed('qemu-system-x86_64')) {
        print "1..0 # SKIP qemu-system-x86_64 is not installed\n";
        exit 0;
    }
    $opt{before}->() if $opt{before};
    $ENV{GOCONNECT_IN_VM} = 1;
    delete $ENV{GOCONNECT_CLUSTER};    # it runs out here
    $ENV{GOCONNECT_BUILD} //= "$ROOT/build";
    chdir $ROOT or die "$ROOT: $!";
    exec "$ROOT/t/kernel/vm", '-t', $opt{seconds} // 300, '-m', $opt{memory} // 1536,
        $^X, $file
        or die "t/kernel/vm: $!";
}

1;

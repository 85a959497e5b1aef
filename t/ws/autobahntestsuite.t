# The cases of Autobahn's own test suite (autobahntestsuite, from PyPI) against
# the echo server: its verdicts, and a report of them below build/autobahn. The
# same cases are in autobahn.t; here somebody else judges.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Path qw(make_path);
use GoConnect::Echo;
use Test::More;

my $dir = "$GoConnect::Server::ROOT/build/autobahn";
my $python = "$dir/venv/bin/python";

# Undef, or why it cannot be had; another error ends the test.
sub install {
    return undef if -e "$dir/installed";
    make_path($dir);
    my $said = `python3 -m venv --clear '$dir/venv' 2>&1`;
    die "no virtual environment: $said" if $? != 0;
    $said = `'$dir/venv/bin/pip' install --disable-pip-version-check --no-deps --retries 1 --timeout 20 'autobahntestsuite>=25.10' 2>&1`;
    if ($? != 0) {
        return 'PyPI is not reachable' if $said =~ /Retrying|ConnectionError|timed out|resolution/;
        die "autobahntestsuite cannot be installed: $said";
    }
    open my $fh, '>', "$dir/installed" or die "$dir/installed: $!";
    close $fh;
    return undef;
}

my $unreachable = install();
my $s = GoConnect::Echo->start;
for my $path (qw(whole bytewise)) {
    SKIP: {
        skip $unreachable, 3 if $unreachable;
        my @line = `'$python' '$FindBin::Bin/echo/autobahn.py' $s->{address} $s->{port} /$path`;
        is $?, 0, "/$path: all cases were run";
        my $version = shift(@line) // '';
        open my $fh, '>', "$dir/$path.tsv" or die "$dir/$path.tsv: $!";
        print {$fh} $version, sort { ($a =~ s/(\d+)/sprintf '%03d', $1/ger) cmp ($b =~ s/(\d+)/sprintf '%03d', $1/ger) } @line;
        close $fh;
        is scalar @line, 247, "/$path: 247 of them";
        my (%verdict, @wrong);
        for my $line (@line) {
            my ($number, $behavior, $close) = split /\t/, $line;
            $verdict{$behavior}++;
            push @wrong, $line if $behavior !~ /^(?:OK|NON-STRICT|INFORMATIONAL)$/
                || $close !~ /^(?:OK|INFORMATIONAL)$/;
        }
        chomp $version;
        diag("$version cases, /$path: " . join ', ', map { "$verdict{$_} $_" } sort keys %verdict);
        is join('', @wrong), '', "/$path: none failed";
    }
}

$s->stop;
done_testing;

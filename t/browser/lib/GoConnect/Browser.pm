package GoConnect::Browser;

# Drives the dashboard in Chromium: starts a server, runs a file of node:test
# beside this test under playwright-core, and tells its results as our own.
#
#   GoConnect::Browser->run('chat.mjs', workers => 2);
#
# The file may ask for what only the harness can do, a line on stdout at a
# time, and gets a line back: "halt", "restart", "database stop",
# "database start", "sql QUERY".

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use GoConnect::Server;
use IPC::Open2;
use Test::More;

my $HERE = abs_path(dirname(__FILE__) . '/../..');
my $ROOT = abs_path("$HERE/../..");
my $WORK = "$ROOT/build/npm-browser";

my %COMMAND = (
    halt     => sub { $_[0]->halt },
    restart  => sub { $_[0]->restart },
    database => sub { $_[1] eq 'stop' ? $_[0]->stop_database : $_[0]->start_database },
    sql      => sub { return $_[0]->sql($_[1]) },
);


# What npm brings: playwright-core, axe-core, redocly and a Node that is new
# enough for them. Installed once for all files that run at the same time.
sub install {
    make_path($WORK);
    open my $lock, '>', "$WORK/.lock" or croak "$WORK/.lock: $!";
    flock $lock, LOCK_EX or croak "lock: $!";

    my $have = -e "$WORK/.done" ? slurp("$WORK/.done") : '';
    my $want = slurp("$HERE/package-lock.json");
    return if $have eq $want;

    unlink "$WORK/.done";
    copy("$HERE/$_", "$WORK/$_") or croak "$_: $!"
        for qw(package.json package-lock.json .npmrc);
    my $said = `cd '$WORK' && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error 2>&1`;
    croak "npm ci failed:\n$said" if $? != 0;
    copy("$HERE/package-lock.json", "$WORK/.done") or croak $!;
    return;
}


sub node {
    my ($node) = glob "$WORK/node_modules/node-linux-*/bin/node";
    return $node // croak 'npm brought no node for this machine';
}


# The path of something that npm brought.
sub tool {
    my ($path) = @_;
    return "$WORK/node_modules/$path";
}


sub run {
    my ($class, $file, %option) = @_;

    install();
    my $server = GoConnect::Server->start(workers => 2, %option);
    my $tap = "$server->{dir}/browser.tap";

    local $ENV{GOCONNECT_URL} = $server->url;
    local $ENV{GOCONNECT_NPM} = "$WORK/";
    local $ENV{NODE_OPTIONS}  = '';
    my $pid = open2(my $from, my $to, node(), '--test-reporter=tap',
        "--test-reporter-destination=$tap", "$HERE/$file");

    while (my $line = <$from>) {
        chomp $line;
        my ($name, $argument) = split ' ', $line, 2;
        if (my $command = $COMMAND{$name // ''}) {
            my $answer = eval { $command->($server, $argument) };
            diag "$line: $@" if $@;
            $answer = $@ ? 'failed' : !defined $answer || ref $answer ? 'ok' : $answer;
            print {$to} $answer =~ s/\n/ /gr, "\n";
            $to->flush;
        } else {
            note $line;
        }
    }
    waitpid $pid, 0;
    my $status = $?;

    my $tests = report($tap);
    ok($status == 0 || $tests->{failed}, 'node ends well') or diag "wait status $status";
    ok($tests->{passed} + $tests->{failed} > 0, 'there were tests');
    $server->stop;
    done_testing();
    return;
}


# Tells the outermost results of a TAP file; what is indented explains them.
sub report {
    my ($file) = @_;
    my %count = (passed => 0, failed => 0);
    my ($failed, $inside, @inner);

    for my $line (split /\n/, -e $file ? slurp($file) : '') {
        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            $failed = defined $1;
            $count{ $failed ? 'failed' : 'passed' }++;
            local $Test::Builder::Level = $Test::Builder::Level + 2;
            ok(!$failed, $2);
            diag join "\n", @inner if $failed && @inner;
            @inner = ();
        } elsif ($line =~ /^ {4}/ && !$failed || $line =~ /^ {4}# Subtest/) {
            $failed = 0;
            $inside = $line =~ /^ +not ok/ || $inside && $line !~ /^ +(?:ok|# Subtest)/;
            push @inner, $line if $inside;
        } elsif ($line =~ /^ / && $failed) {
            diag $line;
        }
    }
    return \%count;
}


sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or croak "$file: $!";
    local $/;
    return scalar <$fh>;
}

1;

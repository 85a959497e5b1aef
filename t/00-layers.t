#!/usr/bin/perl
# The house's rules, checked without running anything of it: who may include
# whom, what pure code may not call, format, lint, and a build without a
# warning by both compilers.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname basename);
use File::Find;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
chdir $root or BAIL_OUT("$root: $!");

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return scalar <$fh>;
}

sub files_below {
    my ($dir, $pattern) = @_;
    my @found;
    find({ no_chdir => 1, wanted => sub { push @found, $_ if -f && /$pattern/ } }, $dir)
        if -d $dir;
    return sort @found;
}

# Source without comments and without the insides of string literals.
sub code_of {
    my ($text) = @_;
    $text =~ s{(/\*.*?\*/)|("(?:\\.|[^"\\\n])*")|('(?:\\.|[^'\\\n])*')|(//[^\n]*)}{
        defined $2 ? '""' : defined $3 ? "' '" : (($1 // '') =~ tr/\n//cdr)
    }gse;
    return $text;
}

# ------------------------------------------------------------------ includes

# folder => the folders whose headers it may include
my %module = (
    core  => [],
    shm   => [qw(core)],
    pg    => [qw(core shm)],
    http  => [qw(core shm pg)],
    ws    => [qw(core)],
    live  => [qw(core shm pg http ws)],
    relay => [qw(core shm ws)],
);
# headers that the build writes
my %generated = map { $_ => 1 } qw(ngx_goconnect_openapi.h);

my %agent = (
    base   => [qw(core)],
    plan   => [qw(core base)],
    os     => [qw(core base plan)],
    link   => [qw(core base plan)],
    daemon => [qw(core base plan os link)],
    client => [qw(core base link)],
    nss    => [],
);

subtest 'includes follow the order of the layers' => sub {
    my @wrong;
    for my $side ([ 'ngx_goconnect_module', \%module ], [ 'agent', \%agent ]) {
        my ($top, $may) = @$side;
        for my $file (files_below($top, qr/\.[ch]$|\.def$/)) {
            my ($layer) = $file =~ m{^\Q$top\E/([^/]+)/} or next;
            if (!$may->{$layer}) {
                push @wrong, "$file: the folder $top/$layer is not known to this test";
                next;
            }
            my %ok = map { $_ => 1 } $layer, @{ $may->{$layer} };
            my $text = slurp($file);
            while ($text =~ /^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/mg) {
                my $name = $1;
                if ($name =~ m{^\.}) {
                    push @wrong, "$file: \"$name\": includes go from the roots, not by ..";
                } elsif ($name =~ m{^([^/]+)/}) {
                    push @wrong, "$file: \"$name\": $layer may not include $1" if !$ok{$1};
                } elsif (!$generated{$name} && !-e dirname($file) . "/$name") {
                    push @wrong, "$file: \"$name\": says no folder";
                }
            }
        }
    }
    is_deeply \@wrong, [], 'no include against the order' or diag join "\n", @wrong;
};

# --------------------------------------------------------------------- purity

# What reads a clock, does I/O, sleeps, or knows nginx or libpq.
my $impure = join '|', qw(
    time gettimeofday clock_gettime clock nanosleep usleep sleep
    open openat creat fopen fdopen read write pread pwrite readv writev close
    socket connect bind listen accept send sendto sendmsg recv recvfrom recvmsg
    poll ppoll select epoll_wait epoll_ctl ioctl fcntl
    printf fprintf puts perror fputs fwrite fread getenv system popen fork
    getaddrinfo gethostbyname rand srand random srandom getrandom
    exit abort syslog signal raise kill pthread_create
);

sub pure_offences {
    my ($dir, $headers) = @_;
    my @wrong;
    for my $file (files_below($dir, qr/\.[ch]$/)) {
        my $text = slurp($file);
        while ($text =~ /^[ \t]*#[ \t]*include[ \t]*<([^>]+)>/mg) {
            push @wrong, "$file: <$1> has no place in pure code" if $1 =~ $headers;
        }
        my $n = 0;
        for my $line (split /\n/, code_of($text)) {
            $n++;
            push @wrong, "$file:$n: $1()" if $line =~ /(?<![\w.>])($impure)\s*\(/
                && $line !~ /^\s*(?:static|extern|struct|typedef|int|void|bool|size_t)\b[^=]*\b$1\s*\([^)]*\)\s*;/;
        }
    }
    return @wrong;
}

subtest 'pure code has no clock, no I/O, no nginx, no libpq' => sub {
    my $headers = qr{^(?:ngx_|libpq|postgresql/|time\.h|sys/(?:time|socket|select|poll|epoll|ioctl|un)\.h
        |unistd\.h|poll\.h|fcntl\.h|netdb\.h|pthread\.h|libwebsockets|netlink/|signal\.h)}x;
    for my $dir (qw(ngx_goconnect_module/core agent/plan)) {
        my @wrong = pure_offences($dir, $headers);
        is_deeply \@wrong, [], $dir or diag join "\n", @wrong;
    }
};

subtest 'the WebSocket and relay know neither the database nor HTTP' => sub {
    for my $dir (qw(ngx_goconnect_module/ws ngx_goconnect_module/relay)) {
        my @wrong = grep { slurp($_) =~ /libpq|ngx_goconnect_pg/ } files_below($dir, qr/\.[ch]$/);
        is_deeply \@wrong, [], $dir;
    }
};

subtest 'calls that have a better form' => sub {
    my @wrong;
    for my $dir (qw(ngx_goconnect_module agent t/unit)) {
        for my $file (files_below($dir, qr/\.[ch]$/)) {
            my $n = 0;
            for my $line (split /\n/, code_of(slurp($file))) {
                $n++;
                push @wrong, "$file:$n: $1()"
                    if $line =~ /(?<![\w.>])(strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|tmpnam|mktemp)\s*\(/;
            }
        }
    }
    is_deeply \@wrong, [], 'none is used' or diag join "\n", @wrong;
};

# ----------------------------------------------------------------- what is said

my @tracked = grep { -f } split /\n/, `git ls-files 2>/dev/null`;
@tracked = map { s{^\./}{}r } grep { !m{^\./(?:build|run|html/lib|node_modules|\.git)/} } files_below('.', qr/./)
    if !@tracked;

subtest 'files name no machine and leave nothing undone' => sub {
    my @wrong;
    for my $file (@tracked) {
        next if $file =~ /\.(?:png|ico|woff2|jpg)$|package-lock\.json$/ || $file eq 't/00-layers.t';
        my $n = 0;
        for my $line (split /\n/, slurp($file)) {
            $n++;
            push @wrong, "$file:$n: $line"
                if $line =~ m{/home/[a-z]+/|/Users/|\bTODO\b|\bFIXME\b|\bXXX\b(?!X)|^<{7} |^>{7} };
            push @wrong, "$file:$n: ends in a blank" if $line =~ /[ \t]$/ && $file !~ /\.md$/;
        }
    }
    is_deeply \@wrong, [], 'nothing' or diag join "\n", @wrong;
};

subtest 'sizes stay where one can read them' => sub {
    my @long = grep { ($_->[1]) > 1000 }
        map { my $text = slurp($_); [ $_, $text =~ tr/\n// ] }
        map { files_below($_, qr/\.[ch]$/) } qw(ngx_goconnect_module agent);
    is_deeply [ map { "$_->[0]: $_->[1] lines" } @long ], [], 'no file above 1,000 lines';
};

# ----------------------------------------------------------------- other tools

sub tool {
    my ($name, @command) = @_;
    my $pid = open(my $fh, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or do { print "$command[0]: $!\n"; require POSIX; POSIX::_exit(127) };
    }
    my $said = do { local $/; <$fh> } // '';
    close $fh;
    my @line = split /\n/, $said;
    splice @line, 60 if @line > 60;
    return ok($? == 0, $name) || (diag(join "\n", @line), 0)[1];
}

my @c = map { files_below($_, qr/\.[ch]$/) } qw(ngx_goconnect_module agent t);
tool('clang-format changes nothing', 'clang-format', '--dry-run', '-Werror', @c);

my @shell = grep { (slurp($_) =~ /\A#!.*\b(?:ba)?sh\b/) } grep { !/\.(?:png|ico)$/ } @tracked;
tool('shellcheck finds nothing', 'shellcheck', '-x', '-S', 'warning', @shell);

subtest 'systemd units' => sub {
    my @unit = glob 'conf/*.service';
    ok @unit >= 2, 'there are units' or return;
    for my $unit (@unit) {
        my $said = `systemd-analyze --man=no --recursive-errors=no verify '$unit' 2>&1`;
        my @about = grep { !/Command \S+ is not executable|^\s*$/ } split /\n/, $said;
        is_deeply \@about, [], "$unit: verify has nothing to say";
        my $score = `systemd-analyze --no-pager security --offline=yes --threshold=29 '$unit' 2>&1`;
        is $? >> 8, 0, "$unit: exposure under 3" or diag((split /\n/, $score)[-1]);
    }
};

for my $cc (qw(gcc clang)) {
    my $b = $cc eq 'gcc' ? ($ENV{GOCONNECT_BUILD} // 'build') : "build/$cc";
    $b =~ s{^\Q$root\E/}{};    # as make names it elsewhere: what depends on what is by name
    for my $what (qw(module agent unit)) {
        tool("$cc builds $what without a warning", 'make', '--no-print-directory',
            "CC=$cc", "B=$b", $what);
    }
}

done_testing;

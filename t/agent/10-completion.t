# What goconnect offers to a shell, and the manual pages: of every command.

use strict;
use warnings;
use FindBin;
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $build = "$top/" . ($ENV{B} // 'build');
my $dir = tempdir(CLEANUP => 1);
$ENV{PATH} = "$build:$ENV{PATH}";
$ENV{GOCONNECT_SOCKET} = "$dir/socket";

sub output {
    my (@command) = @_;
    open my $out, '-|', @command or die "cannot run $command[0]: $!";
    my @lines = <$out>;
    close $out;
    chomp @lines;
    return @lines;
}

sub offered {
    my (@words) = @_;
    return [ output('goconnect', 'completion', 'words', '--', @words) ];
}

# Answers as goconnectd does, with what others may have named networks.
sub daemon_that_says {
    my ($line) = @_;
    unlink "$dir/socket";
    my $listen = IO::Socket::UNIX->new(Local => "$dir/socket", Listen => 1) or die $!;
    my $pid = fork // die $!;
    return $pid if $pid;
    my $client = $listen->accept;
    <$client>;
    print $client "$line\n";
    close $client;
    exit 0;
}

my @commands = grep { defined } map { /^  (\S.*?)  +\S/ ? $1 : undef }
    grep { /^Commands:/ .. /^Options of/ } output('goconnect', 'help');
my %first = map { /^(\S+)/ ? ($1 => 1) : () } @commands;

subtest 'words' => sub {
    cmp_ok scalar(@commands), '>', 40, 'help lists the commands';
    my %offered = map { $_ => 1 } @{ offered('') };
    is_deeply \%offered, \%first, 'every command is offered, and nothing else';
    is_deeply offered('sta'), ['status'], 'what begins as typed';
    is_deeply offered('invite', ''), [qw(create revoke)], 'second words';
    is_deeply offered('gateway', ''), [qw(on off)], 'alternatives';
    is_deeply offered('chat', '--f'), ['--follow'], 'options of the command';
    is_deeply offered('status', '--f'), [], 'no others';
    is_deeply offered('ping', '--count', ''), [], 'no guess at a value';
    is_deeply offered('up', ''), [], 'no networks without goconnectd';
};

subtest 'names that others chose' => sub {
    my $pid = daemon_that_says('{"ok":true,"networks":[{"name":"lan"},{"name":"$(id)"},'
            . '{"name":"-rf"},{"name":"a b"},{"name":"a;b"},{"name":"l2.x"}]}');
    is_deeply offered('up', ''), [qw(lan l2.x)], 'offered only if harmless to a shell';
    waitpid $pid, 0;
};

subtest 'shells' => sub {
    for my $shell (qw(bash zsh fish)) {
        my $script = join "\n", output('goconnect', 'completion', $shell), '';
        like $script, qr/completion words --/, "$shell: a script";
        open my $file, '>', "$dir/$shell" or die $!;
        print $file $script;
        close $file;
        is system($shell, '-n', "$dir/$shell"), 0, "$shell: without a mistake";
    }
    is_deeply [ output('bash', '-c', "source $dir/bash; COMP_WORDS=(goconnect invite c);"
                . ' COMP_CWORD=2; _goconnect; echo "${COMPREPLY[@]}"') ], ['create'],
        'bash completes';
    is_deeply [ output('fish', '--no-config', '-c',
            "source $dir/fish; complete -C 'goconnect invite c'") ], ['create'], 'fish completes';

    # What zsh's editor does, without a terminal: as sourced, and as autoloaded.
    my $editor = 'compdef() { : }; compadd() { shift 2; print -l -- "$@" };'
        . ' words=(goconnect invite c); CURRENT=3;';
    is_deeply [ output('zsh', '-f', '-c', "$editor source $dir/zsh; _goconnect") ], ['create'],
        'zsh completes';
    rename "$dir/zsh", "$dir/_goconnect";
    is_deeply [ output('zsh', '-f', '-c',
            "$editor fpath=($dir); autoload -Uz _goconnect; _goconnect") ], ['create'],
        'zsh completes, from its folder of functions';
};

# Every variable of the environment that the sources of these folders ask for.
sub asked_for {
    my (@folder) = @_;
    my %name;
    for my $file (map { glob "$top/agent/$_/*.c" } @folder) {
        open my $source, '<', $file or die $!;
        local $/;
        my $text = <$source>;
        $name{$1} = 1 while $text =~ /(?:getenv|watchdog_number)\("([A-Z_]+)"/g;
    }
    return sort keys %name;
}

subtest 'manual pages' => sub {
    is system("$top/scripts/manuals", $build, "$dir/man"), 0, 'made';
    my $page = sub {
        open my $file, '<', "$dir/man/$_[0]" or die "$_[0]: $!";
        local $/;
        return <$file>;
    };
    my $client = $page->('goconnect.1');
    my $daemon = $page->('goconnectd.8');
    my $settings = $page->('goconnectd.conf.5');

    # Whether the pages of others are installed is not our matter.
    my @lint = grep { !/manual not found|outdated mandoc\.db/ }
        output("mandoc -Tlint $dir/man/* 2>&1 || true");
    is_deeply \@lint, [], 'mandoc has nothing to say';
    like $client, qr/^\.Sh $_$/m, "goconnect(1): $_"
        for 'SYNOPSIS', 'OPTIONS', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO';
    like $daemon, qr/^\.Sh $_$/m, "goconnectd(8): $_"
        for 'SYNOPSIS', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO';
    like $settings, qr/^\.Sh $_$/m, "goconnectd.conf(5): $_" for 'FILES', 'EXAMPLES', 'SEE ALSO';

    my (undef, %of) = split /^\.Ss (.*?)(?:\\&)?\n/m, $client =~ s/^\.Sh OPTIONS.*//msr;
    my ($common) = $client =~ /^(\.Sh OPTIONS.*?)^\.Sh ENV/ms;
    for my $command (@commands) {
        my $text = $of{$command};
        ok $text, "goconnect(1) has $command" or next;
        my @word = $command =~ /^([a-z]+)(?: ([a-z]+)\b(?!\|))?/;
        my @missing = grep { "$text$common" !~ /\Q$_\E\b/ }
            @{ offered((grep { defined } @word), '--') };
        is "@missing", '', '... and its options';
    }
    my @options = map { /^  (--[a-z-]+)/ ? $1 : () } output('goconnectd', '--help');
    like $daemon, qr/^\Q$_\E\b/m, "goconnectd(8) has $_" for @options;
    like $client, qr/^\.It Ev \Q$_\E$/m, "goconnect(1) has $_" for asked_for('client');
    like $daemon, qr/^\.It Ev \Q$_\E$/m, "goconnectd(8) has $_"
        for asked_for(qw(base plan os link daemon));
    for my $code (0 .. 6) {
        like $client, qr/^\.Sh EXIT STATUS\n(?:.*\n)*\.It $code\n/m, "goconnect(1): exit $code";
    }

    open my $source, '<', "$top/agent/base/config.c" or die $!;
    my @names = map { /^    \{"([a-z-]+)", config_/ ? $1 : () } <$source>;
    cmp_ok scalar(@names), '>=', 8, 'there are settings';
    like $settings, qr/^\.It Ic \Q$_\E /m, "goconnectd.conf(5) has $_" for @names;
};

done_testing;

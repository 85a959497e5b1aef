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
        next unless grep { -x "$_/$shell" } split /:/, $ENV{PATH};
        open my $file, '>', "$dir/$shell" or die $!;
        print $file $script;
        close $file;
        is system($shell, '-n', "$dir/$shell"), 0, "$shell: without a mistake";
    }
    is_deeply [ output('bash', '-c', "source $dir/bash; COMP_WORDS=(goconnect invite c);"
                . ' COMP_CWORD=2; _goconnect; echo "${COMPREPLY[@]}"') ], ['create'],
        'bash completes';
};

subtest 'manual pages' => sub {
    is system("$top/scripts/manuals", $build, "$dir/man"), 0, 'made';
    my $page = sub {
        open my $file, '<', "$dir/man/$_[0]" or die "$_[0]: $!";
        local $/;
        return <$file>;
    };
    my $client = $page->('goconnect.1');
    like $client, qr/^\.Ss \Q$_\E$/m, "goconnect(1) has $_" for @commands;
    my $daemon = $page->('goconnectd.8');
    my @options = map { /^  (--[a-z-]+)/ ? $1 : () } output('goconnectd', '--help');
    like $daemon, qr/^\Q$_\E\b/m, "goconnectd(8) has $_" for @options;
    my $settings = $page->('goconnectd.conf.5');
    open my $conf, '<', "$top/conf/goconnectd.conf" or die $!;
    /^#([a-z-]+) = / and like $settings, qr/^\.It Ic \Q$1\E /m, "goconnectd.conf(5) has $1"
        while <$conf>;
};

done_testing;

# The command line by itself: usage, exit codes, sessions, refusals.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
my $session = $a->host->home . '/.local/state/goconnect/session.json';
my ($status, $said);

sub is_exit {
    my ($want, $pattern, $name, @command) = @_;
    my ($got, $text) = $a->cli(@command);
    is $got, $want, "$name: exit $want" or diag $text;
    like $text, $pattern, "$name: says so";
    return $text;
}

subtest 'help and usage' => sub {
    is_exit(0, qr/first five minutes.*Exit codes/s, 'help', 'help');
    is_exit(0, qr/\Qgoconnect join https:\E/, 'help of a command', 'help', 'join');
    is_exit(0, qr/\Qgoconnect join https:\E/, '--help behind a command', 'join', '--help');
    is_exit(2, qr/Commands:/, 'nothing', ());
    is_exit(2, qr/no command "jion"/, 'a typo', 'jion');
    is_exit(2, qr/usage: goconnect join/, 'join without a network', 'join');
    is_exit(2, qr/usage: goconnect status/, 'status with an operand', 'status', 'x');
    is_exit(2, qr/not one of "goconnect status"/, 'an option of another command', 'status', '-f');
    is_exit(2, qr/unrecognized option/, 'an unknown option', 'status', '--nonsense');
    is_exit(2, qr/1 to 100/, 'a limit out of range', 'chat', '-n', '0');
    is_exit(0, qr/^goconnect \d.*\ngoconnectd \(not running\)/, 'version', 'version');
    is $a->json('version')->{goconnectd}, undef, 'version --json: null while it does not run';
};

subtest 'without goconnectd' => sub {
    for my $command (['status'], ['peers'], ['up'], ['down']) {
        is_exit(3, qr/goconnectd is not running/, "@$command", @$command);
    }
    my $error = $a->json('status')->{error};
    is_deeply [ @$error{qw(code exit)} ], [ 'no_daemon', 3 ], '--json says it as a document';
};

subtest 'not logged in' => sub {
    is_exit(4, qr/goconnect login URL/, "@$_", @$_)
        for ['networks'], ['join', 'lan'], ['leave', 'lan'], ['chat', 'lan'];
    is_exit(2, qr/which server/, 'login without URL', 'login');
};

my @login = @{ $a->login_options };

subtest 'login refused' => sub {
    my @secure = grep { $_ ne '--insecure' } @login;
    is_exit(2, qr/not encrypted/, 'plain http to another machine', 'login', $plane->url, @secure);
    is_exit(2, qr/begins with https/, 'another scheme', 'login', 'ftp://h', @login);
    is_exit(2, qr/has no path/, 'a path', 'login', 'https://h/x', @login);
    is_exit(2, qr/not a port/, 'a port out of range', 'login', 'https://h:70000', @login);
    is_exit(2, qr/not a/, 'a user name in the URL', 'login', 'https://ada:pw@h:1', @login);
    is_exit(2, qr/no terminal/, 'no password and no terminal', 'login', $plane->url, '--username',
        'ada', '--insecure');
    is_exit(2, qr/cannot read/, 'no such password file', 'login', $plane->url, '--username', 'ada',
        '--password-file', '/nowhere', '--insecure');
    is_exit(6, qr/cannot connect/, 'nobody listens', 'login', 'http://127.0.0.1:1', @login);
    is_exit(6, qr/cannot find the address of no-such-host\.invalid/, 'no such name', 'login',
        'http://no-such-host.invalid', @login);
    $a->host->run('sh', '-c', 'echo wrong password here > ~/wrong');
    is_exit(5, qr/Wrong username or password/, 'a wrong password', 'login', $plane->url,
        '--username', 'ada', '--password-file', $a->host->home . '/wrong', '--insecure');
    ok !-e $session, 'nothing of it is kept';
};

subtest 'a server that is none' => sub {
    $plane->set(answer => { match => 'auth/login', status => 200, text => '<html>' });
    is_exit(1, qr/is this a GoConnect server/, 'html', 'login', $plane->url, @login);
    $plane->set(answer => { match => 'auth/login', status => 500, text => 'oops' });
    is_exit(5, qr/answered 500/, 'an error without a problem', 'login', $plane->url, @login);
    $plane->set(answer => { match => 'auth/login', status => 200, text => '[' x 5000 });
    is_exit(1, qr/not JSON/, 'nested too deeply', 'login', $plane->url, @login);
    $plane->set(answer => { match => 'auth/login', status => 302, text => '' });
    is_exit(5, qr/answered 302/, 'a redirect is not followed', 'login', $plane->url, @login);
    $plane->set(answer => { match => 'auth/login', status => 200, text => '{}' });
    is_exit(1, qr/sent no tokens/, 'no tokens', 'login', $plane->url, @login);
    $plane->set(answer => undef);
};

subtest 'login' => sub {
    is_exit(0, qr/Logged in at .* as ada/, 'login', 'login', $plane->url, @login);
    is sprintf('%04o', (stat $session)[2] & 07777), '0600', 'the session is its user\'s alone';
    is sprintf('%04o', (stat $session =~ s{/[^/]+$}{}r)[2] & 07777), '0700', 'so is its folder';
    $plane->network('Lan');
    is_exit(0, qr{friends/lan\s+10\.77\.1\.0/24}, 'networks', 'networks');
    is $a->json('networks')->{networks}[0]{tenant}{slug}, 'friends', 'networks --json';
    is_exit(3, qr/not running/, 'join needs goconnectd', 'join', 'lan');
    ok !(grep { m{/join|/accept} } $plane->requests), '... and says so before the server is asked';
};

subtest 'a session ends' => sub {
    my $before = $a->host->must('cat', $session);
    $plane->set(expires => 1);
    is_exit(0, qr/ada/, 'login for a second', 'login', $plane->url, @login);
    $plane->set(expires => 900);
    is_exit(0, qr/lan/, 'an old token is renewed', 'networks');
    isnt $a->host->must('cat', $session), $before, '... and the new one is kept';
    $plane->set(refuse => 1);
    is_exit(4, qr/session has ended: goconnect login/, 'a refused one is said', 'networks');
    $plane->set(refuse => 0);
    $a->host->must('sh', '-c', "echo '{' > $session");
    is_exit(1, qr/is damaged/, 'a damaged session is said once', 'networks');
    is_exit(4, qr/not logged in/, '... and then it is none', 'networks');
};

subtest 'chat' => sub {
    $a->must('login', $plane->url, @login);
    is_exit(0, qr/^$/, 'say something', 'chat', 'lan', 'hello', 'there');
    is_exit(0, qr/ada: hello there\n$/, 'read it', 'chat', 'lan');
    my $list = $a->json('chat', 'lan')->{messages};
    is $list->[0]{content}, 'hello there', 'as JSON';
    my $network = { id => $list->[0]{network_id} };
    $plane->chat($network, "\e]0;evil\a\x{9b}2J\nx");
    my $text = is_exit(0, qr/other: \?\]0;evil/, 'what moves a terminal is not printed', 'chat', 'lan');
    unlike $text, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/, '... no control character at all';
    is_exit(2, qr/no network|called "elsewhere"/, 'an unknown channel', 'chat', 'elsewhere', 'x');

    my $pid = $a->host->start('follow', "$BUILD/goconnect", 'chat', '-f', 'lan', '--insecure');
    ok until_true(sub { $plane->frames('subscribe') }), 'chat -f subscribes';
    $plane->chat($network, 'line one');
    ok until_true(sub { $a->host->log('follow') =~ /line one/ }), '... and shows what comes';
    $plane->drop;
    $plane->chat($network, 'line two');
    ok until_true(sub { $a->host->log('follow') =~ /line two/ }), '... over a lost connection';
    is scalar(() = $a->host->log('follow') =~ /line one/g), 1, '... each line once';
    $a->host->stop($pid);
};

done_testing;

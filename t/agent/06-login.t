# Logins without a user: by a key, and by a code that somebody approves.

use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Encode qw(decode);
use JSON::PP qw(decode_json);
use Test::More;

my ($lab, $plane, $a) = lab_with_agent();
my @url = ($plane->url, '--insecure');
$plane->network('lan');
$plane->network('work', { cidr => '10.9.0.0/24' });

sub polls { scalar grep { $_ eq 'POST /v1/auth/device/token' } $plane->requests }

subtest 'by a key' => sub {
    my ($status, $said) = $a->cli('login', @url, '--key', 'gce_bad');
    is $status, 5, 'a wrong key is refused';
    like $said, qr/no such enrolment key/, '... and why';
    ($status, $said) = $a->cli('login', @url, '--key', 'gce_good', '--username', 'ada');
    is $status, 2, 'a key and a user are two things';
    ($status, $said) = $a->cli('login', @url, '--key', 'k' x 300);
    is $status, 2, 'what is far too long is no key';
    ($status, $said) = $a->cli('login', @url, '--key-file', '/nonexistent');
    is $status, 2, 'no such file';
    like $said, qr/cannot read/, '... is said';
    ($status, $said) = $a->host->run({ input => "gce_good\n" }, "$BUILD/goconnect", 'login', @url,
        '--key-file', '-', '--json', '--name', 'Robot');
    is $status, 0, 'the key by standard input' or diag $said;
    my $in = decode_json($said);
    is_deeply [ map { "$_->{name} $_->{state}" } @{ $in->{networks} } ], [ 'lan up', 'work up' ],
        'its networks are up';
    is $in->{device}{name}, 'Robot', 'under the name that was given';
    is $a->json('status')->{control}, 'connected', 'and connected';
    ok !-e $a->host->home . '/.local/state/goconnect/session.json', 'no user is logged in';
    ($status, $said) = $a->cli('login', @url, '--key', 'gce_bad');
    like $said, qr/already, as one of device-farm/, 'once is enough';
    ($status, $said) = $a->cli('login', 'http://127.0.0.1:1', '--key', 'gce_good', '--insecure');
    is $status, 1, 'another server';
    like $said, qr/belongs to device-farm .*goconnect logout/, '... is told what to do';
};

subtest 'the networks are kept over a restart' => sub {
    $a->stop('KILL');
    $a->daemon;
    ok until_true(sub { $a->control eq 'connected' }), 'connected again';
    is_deeply [ sort map { $_->{name} } @{ $a->json('status')->{networks} } ], [qw(lan work)], 'in both';
};

subtest 'logout' => sub {
    $plane->clear;
    is(($a->cli('logout'))[0], 0, 'without a user');
    ok scalar(grep { m{^DELETE /v1/devices/} } $plane->requests), 'the device takes itself off';
    is_deeply [ $a->interfaces ], [], 'and all down';
};

subtest 'logout while the server refuses' => sub {
    $a->must('login', @url, '--key', 'gce_good');
    $plane->set(refuse => 1);
    is(($a->cli('logout'))[0], 0, 'it is forgotten here all the same');
    is $a->control, 'logged_out', '... says status';
    $plane->set(refuse => 0);
};

subtest 'by a code' => sub {
    $plane->clear;
    $plane->set(polls => [ 'authorization_pending', 'database_unavailable', 'authorization_pending', 'ok' ]);
    my ($status, $said) = $a->cli('login', @url);
    is $status, 0, 'in' or diag $said;
    like $said, qr{^  http://plane\.test/device\n.*^  ABCD-EFGH\n}ms, 'where to go and what to type';
    like $said, qr/at most 10 minutes/, 'how long there is';
    like $said, qr/^  lan  10\..*^  work  10\.9\./ms, 'and what has come of it';
    unlike $said, qr/\e/, 'no colours, as this is no terminal';
    is polls(), 4, 'asked until it was answered, whatever came between';
    is $plane->state->{requests}[0]{body}{platform}, 'linux', 'the server knows what asks';
    $a->must('logout');
};

subtest 'slow down' => sub {
    $plane->clear;
    $plane->set(polls => [ 'slow_down', 'ok' ]);
    my $began = time;
    is(($a->cli('login', @url, '--json'))[0], 0, 'in');
    cmp_ok time - $began, '>=', 6, 'no sooner than five seconds later';
    is polls(), 2, 'two questions';
    $a->must('logout');
};

subtest 'refused' => sub {
    $plane->set(polls => [ 'access_denied' ]);
    my ($status, $said) = $a->cli('login', @url);
    is $status, 5, 'exit 5';
    is $a->control, 'logged_out', 'and nothing came of it';
};

subtest 'too late' => sub {
    $plane->clear;
    $plane->set(polls => [], expires_in => 1);
    my ($status, $said) = $a->cli('login', @url);
    is $status, 5, 'exit 5';
    like $said, qr/nobody approved this device in time/, 'says so';
    is polls(), 0, 'and asks no more';
    $plane->set(polls => [ 'expired_token' ], expires_in => 600);
    is((($a->cli('login', @url, '--json'))[1] =~ /"code": "expired_token"/) ? 1 : 0, 1,
        'the server may say so too');
};

subtest 'Ctrl-C' => sub {
    $plane->set(polls => []);
    my $login = $a->host->start('login', "$BUILD/goconnect", 'login', @url);
    ok until_true(sub { $a->host->log('login') =~ /Ctrl-C stops/ }), 'it waits';
    is $a->host->stop($login, 'INT'), 1, 'exit 1';
    like $a->host->log('login'), qr/stopped; the code lets nobody in/, 'and says what that means';
    is $a->control, 'logged_out', 'nothing came of it';
};

subtest 'a QR code on a terminal' => sub {
    $plane->set(polls => [ 'ok' ]);
    my ($status, $said) = $a->host->run('script', '-qec',
        "stty cols 80; exec $BUILD/goconnect login @url", '/dev/null');
    is $status, 0, 'in' or diag $said;
    my @drawn;
    for my $line (decode('UTF-8', $said) =~ /^\e\[30;107m(.*?)\e\[0m/mg) {
        push @drawn, join('', map { /[▀█]/ ? '#' : ' ' } split //, $line),
            join('', map { /[▄█]/ ? '#' : ' ' } split //, $line);
    }
    pop @drawn if @drawn % 2 == 0 && $drawn[-1] !~ /#/;    # the odd row below the code
    open my $qr, '-|', 'qrencode', '-8', '-l', 'L', '-m', 4, '-t', 'ASCII', '--',
        'http://plane.test/device?code=ABCD-EFGH' or die $!;
    my @want = map { chomp; s/(.)\1/$1/gr } <$qr>;
    is_deeply \@drawn, \@want, 'it spells the whole address';
    $a->must('logout');

    $plane->set(polls => [ 'ok' ]);
    (undef, $said) = $a->host->run('script', '-qec',
        "stty cols 30; exec $BUILD/goconnect login @url", '/dev/null');
    unlike $said, qr/\e\[30;107m/, 'none where it would not fit';
    $a->must('logout');
};

is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';
done_testing;

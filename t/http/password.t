#!/usr/bin/perl
# Passwords: a burst of logins does not hold up a worker, the queue has an end,
# and neither the answer nor its time tells whether a user exists.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use IO::Socket::INET;
use Mojo::JSON qw(encode_json);
use Test::More;
use Time::HiRes qw(sleep time);
use GoConnect::Load;
use GoConnect::Server;

my $s = GoConnect::Server->start(workers => 1);
my $u = $s->register('ada');

sub login {
    my ($name, $password) = @_;
    my $begun = time;
    my ($status, $json) = $s->api(POST => '/v1/auth/login',
        { username => $name, password => $password });
    return ($status, ref $json ? $json->{code} : undef, time - $begun);
}

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ @sorted / 2 ] }

subtest 'how they are stored' => sub {
    my $hash = $s->sql("SELECT password_hash FROM goconnect.users WHERE username = 'ada'");
    like $hash, qr{^\$2b\$12\$[./A-Za-z0-9]{53}$}, 'bcrypt, cost 12';
    my $v = $s->register('bob');
    isnt $s->sql("SELECT password_hash FROM goconnect.users WHERE username = 'bob'"), $hash,
        'with a salt: the same password, another hash';
};

subtest 'right and wrong' => sub {
    is +(login('ada', $u->{password}))[0], 200, 'right';
    is +(login('Ada', $u->{password}))[0], 200, 'the name in another case';
    for my $wrong ('wrong horse battery', uc $u->{password}, "$u->{password} ", 'x' x 72) {
        is_deeply [ (login('ada', $wrong))[ 0, 1 ] ], [ 401, 'invalid_credentials' ], 'wrong';
    }
    my $long = 'x' x 72;
    $s->register('long', $long);
    is +(login('long', $long))[0], 200, '72 bytes';
    isnt +(login('long', $long . 'y'))[0], 200, 'a 73rd byte is not just ignored';
};

my $usual;

subtest 'unknown users take as long' => sub {
    my (@known, @unknown);
    for my $n (1 .. 5) {
        push @known, (login('ada', "wrong password $n"))[2];
        my @answer = login("nobody$n", "wrong password $n");
        is_deeply [ @answer[ 0, 1 ] ], [ 401, 'invalid_credentials' ], 'and are told the same';
        push @unknown, $answer[2];
    }
    $usual = median(@known);
    my $ratio = median(@unknown) / $usual;
    # without a hash of its own the unknown one takes a twentieth
    ok $ratio > 0.3 && $ratio < 3, sprintf 'unknown / known: %.2f', $ratio;
};

subtest 'a burst of logins' => sub {
    my $load = GoConnect::Load->start($s, clients => 24, request => sub {
        return (POST => '/v1/auth/login',
            { username => 'bob', password => $u->{password} }, token => '');
    });
    sleep 0.5;
    my @took;
    my $ua = $s->ua;
    for (1 .. 60) {
        my $begun = time;
        is +($s->api(GET => '/v1/auth/me', undef, token => $u->{token}))[0], 200, 'a request meanwhile';
        push @took, time - $begun;
        sleep 0.02;
    }
    my $result = $load->stop;
    # behind the hashes it would wait for seconds
    cmp_ok median(@took), '<', 1, sprintf 'is served at once: %.0f ms', 1000 * median(@took);
    my %other = %{ $result->{status} };
    delete @other{qw(200 503 429)};
    is_deeply \%other, {}, 'logins succeed or are told to come back' or diag explain $result;
};

subtest 'more than can wait' => sub {
    my $load = GoConnect::Load->start($s, clients => 64, request => sub {
        return (POST => '/v1/auth/login',
            { username => 'bob', password => $u->{password} }, token => '');
    });
    sleep 2;
    my $result = $load->stop;
    ok $result->{status}{503} || $result->{status}{429}, 'are refused' or diag explain $result;
    cmp_ok $result->{slowest}, '<', 15, 'and nobody waits for ever';
};

# what the clients of a stopped load have left in the queue is thrown away as
# soon as a thread looks at it
sub until_served {
    my $until = time + 60;
    my $status;
    do { ($status) = login('ada', $u->{password}) } while $status == 503 && time < $until;
    is $status, 200, 'the queue is empty again';
}

subtest 'clients that leave' => sub {
    until_served();
    my $body = encode_json({ username => 'bob', password => $u->{password} });
    my @socket = map {
        my $socket = IO::Socket::INET->new(PeerAddr => $s->url =~ s{^http://}{}r) or die $!;
        print {$socket} "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
            'Content-Length: ', length $body, "\r\n\r\n$body";
        $socket->flush;
        $socket;
    } 1 .. 30;
    sleep 0.1;
    close $_ for @socket;
    my ($status, undef, $took) = login('ada', $u->{password});
    is $status, 200, 'leave their place to others';
    # two threads: thirty hashes would take fifteen times as long as one
    cmp_ok $took, '<', 10 * $usual, sprintf 'who do not wait for their hashes: %.1f s', $took;
};

subtest 'a reload while passwords are hashed' => sub {
    my $load = GoConnect::Load->start($s, clients => 4, request => sub {
        return (POST => '/v1/auth/login',
            { username => 'bob', password => $u->{password} }, token => '');
    });
    sleep 0.4;
    $s->reload;
    sleep 0.4;
    my $result = $load->stop;
    my %other = %{ $result->{status} };
    delete @other{qw(200 0)};
    # worker_shutdown_timeout ends what a crowded machine has not done in 5 s
    delete $other{503} if $result->{slowest} > 4;
    is_deeply \%other, {}, 'loses none' or diag explain $result;
};

$s->stop;
done_testing;

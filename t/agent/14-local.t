# The local API: who may ask, what, and what happens to those who ask wrongly.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json encode_json);
use POSIX ();
use Test::More;

my $LIMIT = 120; # of every wait; only against hanging
my $STATE = '/var/lib/goconnect';

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
my $conf = $a->host->home . '/conf';
push @{ $a->{args} }, '--config', $conf;

sub settings {
    open my $to, '>', $conf or die "$conf: $!";
    print $to map { "$_\n" } @_;
    close $to;
}

# The code runs where the agent is: a socket stays where it was made.
sub there {
    my ($code) = @_;
    my $setns = { x86_64 => 308, aarch64 => 268 }->{ (POSIX::uname())[4] } // die 'setns?';
    open my $here, '<', '/proc/self/ns/net' or die $!;
    open my $its, '<', $a->host->netns or die $!;
    syscall($setns, fileno $its, 0x40000000) == 0 or die "setns: $!";
    my $made = $code->();
    syscall($setns, fileno $here, 0x40000000) == 0 or die "setns: $!";
    return $made;
}

my ($port, $token);

sub located {
    my ($url) = $a->must('local') =~ m{^(http://127\.0\.0\.1:\d+/\#\S+)\n\z};
    ($port, $token) = ($url // '') =~ m{:(\d+)/\#([\w-]{43})\z};
    return defined $token;
}

sub dialled {
    return there(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => $LIMIT) });
}

# What is said until the end: (status, head, body); () if nothing was.
sub answer {
    my ($socket) = @_;
    my $text = '';
    my $select = IO::Select->new($socket);
    while (1) {
        $select->can_read($LIMIT) or die 'no end in time';
        sysread($socket, $text, 65536, length $text) or last;
    }
    return if $text eq '';
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    return (($head =~ m{\AHTTP/1\.1 (\d+)})[0], $head, $body);
}

sub raw {
    my ($text) = @_;
    my $socket = dialled() or die "cannot connect: $!";
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $text;
    return answer($socket);
}

# As a client does it; a field that is undef is left out.
sub ask {
    my ($method, $path, %field) = @_;
    my $body = delete $field{body};
    my %head = (host => "127.0.0.1:$port", authorization => "Bearer $token", %field);
    %head = ('content-type' => 'application/json', 'content-length' => length $body, %head)
        if defined $body;
    return raw(join "\r\n", "$method $path HTTP/1.1",
        (map { "$_: $head{$_}" } grep { defined $head{$_} } sort keys %head), '', $body // '');
}

sub is_refused {
    my ($want, $code, $name, @request) = @_;
    my ($status, $head, $body) = ask(@request);
    is $status, $want, "$name: $want";
    is eval { decode_json($body)->{code} }, $code, "... $code";
    return $head;
}

subtest 'off' => sub {
    settings();
    $a->daemon;
    my ($status, $said) = $a->cli('local');
    is $status, 1, 'goconnect local fails';
    like $said, qr/off: put "local-api = on" into/, '... and says what to do';
    $port = 12000;
    ok !dialled(), 'nobody listens';
};

subtest 'on' => sub {
    settings('local-api = maybe');
    like +($a->cli('reload'))[1], qr/line 1: local-api is on or off, not "maybe"/, 'no such value';
    settings('local-api = on');
    like $a->must('reload'), qr/Changed: local-api/, 'at a reload';
    ok located(), 'goconnect local prints the address';
    is $port, 12000, 'the first port';
    is $a->host->must('stat', '-c', '%a', "$STATE/local-token"), "640\n", 'the token is in a file of its own';
    like $a->host->must('ss', '-ltnH'), qr/ 127\.0\.0\.1:12000 /, 'at 127.0.0.1 alone';
};

subtest 'the page' => sub {
    for my $file ([ '/', 'text/html' ], [ '/local.js', 'text/javascript' ], [ '/local.css', 'text/css' ]) {
        my ($path, $type) = @$file;
        my ($status, $head, $body) = ask('GET', $path, authorization => undef);
        is $status, 200, "$path, without a token";
        like $head, qr{^content-type: \Q$type\E; charset=utf-8\r?$}m, "... $type";
        like $head, qr/^content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';/m,
            '... its policy';
        unlike $head, qr/unsafe|access-control/, '... allows nothing more';
        is length $body, ($head =~ /^content-length: (\d+)/m)[0], '... whole';
        unlike $body, qr/\Q$token\E/, '... without the token';
    }
    my $page = (ask('GET', '/'))[2];
    unlike $page, qr/<script>|style=|onclick/, 'nothing inline';
    is((ask('GET', '/', host => "localhost:$port"))[0], 200, 'as localhost');
    is_refused(404, 'not_found', $_, 'GET', $_) for '/nothing', '/api', '/local-token', '/%2e%2e/etc/passwd';
};

subtest 'names that lead here are not ours' => sub {
    is_refused(421, 'wrong_host', "Host $_", 'GET', '/api/status', host => $_)
        for 'evil.example', "evil.example:$port", '127.0.0.1', '127.0.0.1:1', "127.0.0.1:$port.evil.example",
        "[::1]:$port", 'x' x 300;
    is_refused(421, 'wrong_host', 'the page too', 'GET', '/', host => "evil.example:$port");
    my $double = (raw("GET / HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nHost: evil\r\n\r\n"))[0];
    is $double, 421, 'two hosts';
    isnt +(raw("GET / HTTP/1.1\r\n\r\n"))[0] // 'closed', 200, 'none';
    is_refused(403, 'wrong_origin', "Origin $_", 'GET', '/api/status', origin => $_)
        for 'http://evil.example', 'null', "https://127.0.0.1:$port", "http://127.0.0.1", "http://127.0.0.1:1",
        "http://localhost:$port", 'x' x 300;
    is((ask('GET', '/api/status', origin => "http://127.0.0.1:$port"))[0], 200, 'its own');
};

subtest 'the token' => sub {
    my $other = $token;
    substr($other, 0, 1) = $other =~ /^A/ ? 'B' : 'A';
    for my $bad (undef, '', 'Bearer', 'Bearer ', "Bearer $other", "Bearer ${token}A", 'Bearer ' . substr($token, 1),
        "Basic $token", $token) {
        my $head = is_refused(401, 'unauthorized', $bad // 'none', 'GET', '/api/status', authorization => $bad);
        like $head, qr/^www-authenticate: Bearer\r?$/m, '... says how';
    }
    is_refused(401, 'unauthorized', 'in the address', 'GET', "/api/status?token=$token", authorization => undef);
    is((ask('GET', '/api/status', authorization => "bearer $token"))[0], 200, 'the right one');
};

subtest 'methods and sizes' => sub {
    is_refused(405, 'wrong_method', "@$_", @$_) for [ 'POST', '/api/status', body => '{}' ], [ 'GET', '/api/up' ],
        [ 'GET', '/api/down' ], [ 'PUT', '/api/up' ], [ 'DELETE', '/api/status' ], [ 'OPTIONS', '/api/up' ],
        [ 'POST', '/', body => '{}' ];
    # what ends a membership or tells secrets is for the control socket
    is_refused(404, 'not_found', $_, 'POST', "/api/$_", body => '{}')
        for qw(identity enroll forget join leave reload gateway rotate local);
    is_refused(415, 'bad_type', 'a form', 'POST', '/api/up', body => 'x=1', 'content-type' => 'text/plain');
    is_refused(400, 'bad_request', "body $_", 'POST', '/api/up', body => $_) for '{', '[]', '{"a":1,"a":2}', '"x"';
    is_refused(413, 'too_large', 'a large body', 'POST', '/api/up', body => '', 'content-length' => 4097);
    is_refused(400, 'bad_request', "length $_", 'POST', '/api/up', body => '', 'content-length' => $_) for 'x', '-1';
    is_refused(411, 'length_required', 'no length', 'POST', '/api/up');
    is_refused(411, 'length_required', 'chunks', 'POST', '/api/up', 'transfer-encoding' => 'chunked');
    is_refused(404, 'unknown_network', 'no such network', 'GET', '/api/peers?network_id=x');
    isnt +(ask('GET', '/api/status', cookie => 'x' x 20_000))[0] // 'closed', 200, 'a large head';
    isnt +(ask('GET', '/api/status', connection => 'upgrade', upgrade => $_, 'http2-settings' => 'AAMAAABk',
        'sec-websocket-key' => 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version' => 13))[0] // 'closed', 101,
        "no upgrade to $_" for 'h2c', 'websocket';
    raw($_) for "\r\n" x 1000, "\0" x 5000, "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\r\n\r\n";
    is((ask('GET', '/api/status'))[0], 200, 'it is still there');
};

$a->must('login', $plane->url, @{ $a->login_options });
my $lan = $plane->network('Lan');
$plane->add_peer($lan, { public_key => key(1) });
$a->must('join', $lan->{link});

sub said { my ($status, undef, $body) = ask(@_); return $status == 200 ? decode_json($body) : undef }

subtest 'what it is for' => sub {
    my $status = said('GET', '/api/status');
    my $same = $a->json('status');
    delete $status->{ok};
    is_deeply [ sort keys %$status ], [ sort keys %$same ], 'status says what goconnect status says';
    is $status->{networks}[0]{state}, 'up', 'a network is up';
    my $id = $status->{networks}[0]{network_id};
    my $peers = said('GET', "/api/peers?network_id=$id")->{peers};
    is scalar @$peers, 2, 'its peers';
    is scalar(grep { exists $_->{path} && exists $_->{rtt} } @$peers), 2, '... with path and round trip';
    my $body = encode_json({ network_id => $id });
    is said('POST', '/api/down', body => $body)->{networks}[0]{state}, 'down', 'off';
    is_deeply [ $a->interfaces ], [], '... it is';
    my $up = said('POST', '/api/up', body => $body);
    ok until_true(sub { $a->network_of('Lan')->{state} eq 'up' }), 'on';
    is $up->{networks}[0]{network_id}, $id, '... and says which';
    is((ask('POST', '/api/down', body => ''))[0], 200, 'all, without a body');
    is_deeply [ $a->interfaces ], [], '... are off';
    $a->must('up');
    is ref said('GET', '/api/doctor')->{checks}, 'ARRAY', 'an answer that takes a while';
};

subtest 'many at once' => sub {
    my @sockets = map { dialled() // die "cannot connect: $!" } 1 .. 2;
    my $request = "GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nAuthorization: Bearer $token\r\n\r\n";
    syswrite $_, substr $request, 0, 30 for @sockets;
    syswrite $_, substr $request, 30 for reverse @sockets;
    is((answer($_))[0], 200, 'two, in pieces') for @sockets;
    my @idle = map { dialled() // die "cannot connect: $!" } 1 .. 16;
    is((ask('GET', '/api/status'))[0], 503, 'more than 16 are turned away');
    @idle = ();
    ok until_true(sub { ((ask('GET', '/api/status'))[0] // 0) == 200 }, $LIMIT), 'until others have gone';
    for (1 .. 40) {
        my $socket = dialled();
        syswrite $socket, $request =~ s/status/doctor/r;
    }
    ok until_true(sub { ((ask('GET', '/api/status'))[0] // 0) == 200 }, $LIMIT), 'askers who do not wait';
};

subtest 'slow ones' => sub {
    my @slow = map { dialled() // die "cannot connect: $!" } 1 .. 3;
    syswrite $slow[1], "GET /api/status HTTP/1.1\r\nHost: 127";
    syswrite $slow[2], "POST /api/up HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nAuthorization: Bearer $token\r\n"
        . "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{";
    is_deeply [ answer($_) ], [], 'cut' for @slow;
};

subtest 'it comes back' => sub {
    my ($before, $at) = ($token, $port);
    my $socket = dialled();
    $a->stop('KILL');
    $a->daemon;
    ok located(), 'after a kill';
    is_deeply [ $token, $port ], [ $before, $at ], '... as it was';
    $a->stop;
    my $taken = there(sub { IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 12000, Listen => 1,
        ReuseAddr => 1) }) // die "cannot take the port: $!";
    $a->daemon;
    ok located(), 'where its port is taken';
    is_deeply [ $token, $port ], [ $before, 12001 ], '... at the next one';
    is((ask("GET", "/api/status"))[0], 200, "... and answers there");
    settings();
    $a->must('reload');
    ok !dialled(), 'off by a reload';
    settings('local-api = on');
    $a->must('reload');
    ok located() && $token eq $before, 'on again, with the token that it had';
    $a->stop;
    $a->host->must('sh', '-c', "echo short > $STATE/local-token");
    $a->daemon;
    ok located() && $token ne $before, 'a token that is none is made anew';
    like $a->log, qr/local-token holds no token; it is made anew/, '... and the log says so';
    is_refused(401, 'unauthorized', 'the old one', 'GET', '/api/status', authorization => "Bearer $before");
    $a->stop;
    $a->host->must('sh', '-c', "rm $STATE/local-token && mkdir $STATE/local-token");
    $a->daemon;
    my ($status, $said) = $a->cli('local');
    is $status, 1, 'a token that cannot be kept: it stays off';
    like $said, qr{cannot write \Q$STATE\E/local-token}, '... and says why';
    is $a->network_of('Lan')->{state}, 'up', '... and the networks are there';
};

is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;

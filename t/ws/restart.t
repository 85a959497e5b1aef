# How sockets end: slow readers, silence, reload, stop; and TLS.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::RawWS;
use GoConnect::Server;
use IO::Socket::SSL;
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

my $port = GoConnect::Server::free_port();
my $dir = File::Temp::tempdir('gctls-XXXXXX', DIR => '/tmp', CLEANUP => 1);
chmod 0755, $dir;
is system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
    . "-keyout $dir/key -out $dir/cert 2>/dev/null"), 0, 'a certificate';

my $s = GoConnect::Server->start(workers => 1, listen => "listen 127.0.0.1:$port ssl;",
    server => "ssl_certificate $dir/cert; ssl_certificate_key $dir/key;");
my $ada = $s->register('ada');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $topic = "tenant:$t->{id}";

sub subscribe {
    my ($ws) = @_;
    $ws->write($ws->frame(text => encode_json({ type => 'subscribe', id => 's',
        data => { topics => [ { topic => $topic, seq => undef } ] } })));
    my $answer = $ws->json;
    is $answer->{type}, 'ok', 'subscribed';
    return $ws;
}

# ------------------------------------------------------------ slow consumer

my $slow = subscribe(GoConnect::RawWS->connect($s, query => "token=$ada->{token}"));
setsockopt $slow->{socket}, SOL_SOCKET, SO_RCVBUF, 65536;
my $quick = subscribe(GoConnect::RawWS->connect($s, query => "token=$ada->{token}"));

# more than socket buffers and a queue of 1 MiB hold; behind the API's back,
# one by one, so that who reads can follow
my $n = 200;
my $writer = fork // die "fork: $!";
if (!$writer) {
    $s->sql(<<"SQL");
DO \$\$
BEGIN
    FOR i IN 1 .. $n LOOP
        PERFORM api_1._publish(ARRAY[api_1._event('$topic', 'member',
            json_build_object('pad', repeat('x', 30000)))]);
        PERFORM pg_notify('goconnect', json_build_object('topic', '$topic', 'seq', i)::text);
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
\$\$
SQL
    POSIX::_exit(0);
}
my @seq;
while (@seq < $n) {
    my $frame = $quick->next_frame(30);
    last if !defined $frame->{op} || $frame->{op} == 8;
    push @seq, $1 if $frame->{payload} =~ /"seq" ?: ?(\d+)/;
}
is join(' ', @seq), join(' ', 1 .. $n), 'who reads gets it all';
waitpid $writer, 0;
my ($got, $code) = (0);
while (!defined $code) {
    my $frame = $slow->next_frame(30);
    if (!defined $frame->{op}) {
        $code = 'none';
    } elsif ($frame->{op} == 8) {
        $code = unpack 'n', $frame->{payload};
    } elsif ($frame->{op} < 2 && (my $json = decode_json($frame->{payload}))->{type} ne 'presence') {
        $got++;
        is $json->{seq}, $got, "what is sent is whole and in order"
            if $got == 1 || $got % 50 == 0;
    }
}
is $code, 4008, 'who does not read is closed with 4008';
cmp_ok $got, '<', $n, 'and has not got all';
$slow->close;

# it comes back and resumes where it was
my $resumed = GoConnect::RawWS->connect($s, query => "token=$ada->{token}");
$resumed->write($resumed->frame(text => encode_json({ type => 'subscribe', id => 's',
    data => { topics => [ { topic => $topic, seq => $got } ] } })));
$resumed->json;
@seq = ();
while (@seq < $n - $got) {
    push @seq, $resumed->next_frame(30)->{payload} =~ /"seq" ?: ?(\d+)/;
}
is $resumed->json->{type}, 'presence', 'and then who is here';
is join(' ', @seq), join(' ', $got + 1 .. $n), 'it resumes without a hole';

# more than a socket should be made to read: fetch afresh
$resumed->write($resumed->frame(text => encode_json({ type => 'subscribe', id => 't',
    data => { topics => [ { topic => $topic, seq => 0 } ] } })));
is $resumed->json->{id}, 't', 'asked for everything';
my $resync = $resumed->json;
is "$resync->{type} $resync->{data}{reason} $resync->{seq}", "resync overflow $n",
    'six megabytes are too much to replay';
$_->close for $resumed, $quick;

# ---------------------------------------------------------------------- TLS

my $tls = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $port,
    SSL_verify_mode => 0) or die "TLS: $SSL_ERROR";
my $raw = bless { socket => $tls, buffer => '' }, 'GoConnect::RawWS';
print $tls $raw->request(query => "token=$ada->{token}");
my $text = '';
while ($text !~ /\r\n\r\n(.*)/s || $1 !~ /"hello"/) {
    sysread $tls, $text, 65536, length $text or die 'TLS: closed';
}
like $text, qr/\AHTTP\/1\.1 101 /, 'a WebSocket over TLS';
$text = '';
my $long = encode_json({ type => 'ping', id => 'long', data => { pad => 'y' x 60000 } });
print $tls GoConnect::RawWS->frame(text => $long) for 1 .. 3;
while ((() = $text =~ /"long"/g) < 3) {
    sysread $tls, $text, 65536, length $text or die 'TLS: closed';
}
pass 'long messages over TLS';
print $tls GoConnect::RawWS->frame(text => encode_json({ type => 'subscribe', id => 'r',
    data => { topics => [ { topic => $topic, seq => $n - 100 } ] } }));
$text = '';
while ((() = $text =~ /"type" ?: ?"member"/g) < 100) {
    sysread $tls, $text, 1 << 20, length $text or die 'TLS: closed';
}
pass 'three megabytes of replay over TLS';
print $tls GoConnect::RawWS->frame(close => pack 'n', 1000);
1 while sysread $tls, $text, 65536, length $text;
is substr($text, -4), "\x88\x02\x03\xe8", 'closed over TLS';
close $tls;

# ------------------------------------------------------------------- reload

my @old = keys %{ $s->worker_pids };
my @sockets = map { $s->ws(token => $ada->{token}) } 1 .. 5;
$_->expect('hello') for @sockets;
$s->reload;
for my $ws (@sockets) {
    is $ws->closed, 1012, 'a reload ends sockets with 1012';
    my ($error) = grep { $_->{type} eq 'error' } $ws->frames;
    is $error->{data}{code}, 'server_restart', 'after a last word';
    like $error->{data}{retry_after}, qr{^[01]$}, 'that says when to come back: few of them, soon';
}

my $again = $s->ws(token => $ada->{token});
ok $again->expect('hello'), 'the new worker serves';
$s->_await('the old worker to leave', sub { !grep { kill 0, $_ } @old });
$again->close;
$s->remember;
$again = $s->ws(token => $ada->{token});
$again->expect('hello');

# ------------------------------------------------------------ stop and start

kill TERM => $s->{master};
is $again->closed, 1012, 'a quick stop says 1012 too';
waitpid delete $s->{master}, 0;
$s->restart;
$again = $s->ws(token => $ada->{token});
ok $again->expect('hello'), 'and after a start all is well';

# a client that vanishes in the middle of a frame, of a handshake, at once
for my $piece ('', 'GET /v1/ws HTTP/1.1', GoConnect::RawWS->frame(text => 'x' x 1000)) {
    my $ws = GoConnect::RawWS->connect($s, $piece =~ /^\x81/ ? (query => "token=$ada->{token}")
        : (upgrade => 0));
    $ws->write(substr $piece, 0, 20);
    $ws->close;
}
for my $i (1 .. 20) {
    my $ws = GoConnect::RawWS->connect($s, upgrade => 0);
    $ws->write($ws->request(query => "token=$ada->{token}"));
    $ws->close;
}
is $again->ask('ping')->{type}, 'ok', 'clients that vanish disturb nobody';
$again->close;

$s->stop;
done_testing;

# The API over HTTP/2, where bodies come in another way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;

plan skip_all => 'curl is missing, or has no HTTP/2'
    if `curl --version 2>/dev/null` !~ /\bHTTP2\b/;

my $port = GoConnect::Server::free_port();
my $s = GoConnect::Server->start(listen => "listen 127.0.0.1:$port http2;");
my $token = $s->register('hazel')->{token};
my $url = "http://127.0.0.1:$port";

# Status and body of a request; more: curl's options, text: what is sent.
sub h2 {
    my ($path, $text, @more) = @_;
    my @command = ('curl', '-s', '-m', 20, '--http2-prior-knowledge', '-w', '\n%{http_version} %{http_code}',
        '-H', "Authorization: Bearer $token", '-H', 'Content-Type: application/json', @more);
    if (defined $text) {
        $s->write_file('body', $text);
        push @command, '--data-binary', '@' . $s->dir . '/body' if !grep { $_ eq '-T' } @more;
    }
    open my $fh, '-|', @command, "$url$path" or die "curl: $!";
    my $said = do { local $/; <$fh> };
    close $fh;
    my ($body, $version, $status) = $said =~ /^(.*)\n(\S+) (\d+)\z/s;
    is $version, '2', "HTTP/2: $path";
    return ($status, $body);
}

my ($status, $body) = h2('/v1/auth/me');
is $status, 200, 'GET';
like $body, qr/"hazel"/, 'with its body';
($status, $body) = h2('/v1/tenants', '{"name":"two"}');
is $status, 201, 'POST';
($status, $body) = h2('/v1/tenants', '{"name":"long"' . ' ' x 50_000 . '}');
is $status, 201, 'a long body';
($status, $body) = h2('/v1/tenants', '{"name":"slow"' . ' ' x 30_000 . '}', '--limit-rate', '60000');
is $status, 201, 'a slow body';
my @stream = ('-X', 'POST', '-T', $s->dir . '/body', '-H', 'Content-Length:');
$s->write_file('body', '{"name":"stream"}');
($status, $body) = h2('/v1/tenants', '{"name":"stream"}', @stream);
is $status, 201, 'a body of unknown length';
# curl 7.88 drops an answer that comes before it has sent all (RFC 9113,
# section 8.1), so the access log tells
$s->write_file('body', '{"name":"' . 'a' x 200_000 . '"}');
system "curl -s -m 20 -o /dev/null --http2-prior-knowledge -H 'Authorization: Bearer $token' "
    . "-H 'Content-Type: application/json' -H 'Content-Length:' -X POST -T - $url/v1/tenants <"
    . $s->dir . '/body';
open my $log, '<', $s->dir . '/access.log' or die $!;
like [<$log>]->[-1], qr{"POST","route":"/v1/tenants","status":413,}, 'one that is too long';
($status, $body) = h2('/v1/tenants', '{"name":');
is $status, 400, 'half a body';
($status, $body) = h2('/v1/auth/me', undef, '--head');
is $status, 200, 'HEAD';

$s->stop;
done_testing;

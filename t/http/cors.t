# Pages of other origins: those that are configured, and nobody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;

my $s = GoConnect::Server->start(
    http => 'goconnect_cors_origin https://app.example http://localhost:3000/;');

sub ask {
    my ($method, $path, $origin, %header) = @_;
    my (undef, undef, $tx) = $s->api($method => $path, undef,
        headers => { defined $origin ? (Origin => $origin) : (), %header });
    return $tx->res;
}

for my $origin ('https://app.example', 'http://localhost:3000') {
    my $res = ask(GET => '/v1/info', $origin);
    is $res->headers->header('Access-Control-Allow-Origin'), $origin, "$origin may";
    like $res->headers->header('Access-Control-Expose-Headers'), qr/\bETag\b/, 'and see the ETag';
    is $res->headers->header('Access-Control-Allow-Credentials'), undef, 'cookies may not';
    is $res->headers->header('Vary'), 'Origin', 'Vary';
}
my $res = ask(GET => '/v1/auth/me', 'https://app.example');
is $res->code, 401, 'a refusal';
is $res->headers->header('Access-Control-Allow-Origin'), 'https://app.example',
    'a refusal can be read too';

for my $origin ('https://app.example.evil', 'https://evil', 'http://app.example',
    'https://app.example:444', 'null', '*', '', 'https://app.exampl')
{
    $res = ask(GET => '/v1/info', $origin);
    is $res->headers->header('Access-Control-Allow-Origin'), undef, "'$origin' may not";
    is $res->headers->header('Vary'), 'Origin', 'Vary all the same';
}
is ask(GET => '/v1/info')->headers->header('Access-Control-Allow-Origin'), undef, 'no origin';

$res = ask(OPTIONS => '/v1/tenants', 'https://app.example',
    'Access-Control-Request-Method' => 'POST',
    'Access-Control-Request-Headers' => 'authorization,content-type');
is $res->code, 204, 'preflight';
is $res->headers->header('Access-Control-Allow-Origin'), 'https://app.example', 'the origin';
like $res->headers->header('Access-Control-Allow-Methods'), qr/\bPOST\b/, 'the methods of the path';
like $res->headers->header('Access-Control-Allow-Headers'), qr/\bAuthorization\b.*\bIdempotency-Key\b/,
    'the headers that the API reads';
is $res->headers->header('Access-Control-Max-Age'), 600, 'for ten minutes';
$res = ask(OPTIONS => '/v1/tenants', 'https://evil', 'Access-Control-Request-Method' => 'POST');
is $res->headers->header('Access-Control-Allow-Methods'), undef, 'nothing for the others';
$s->stop;

$s = GoConnect::Server->start;
$res = ask(GET => '/v1/info', 'https://app.example');
is $res->headers->header('Access-Control-Allow-Origin'), undef, 'nobody unless configured';
is $res->headers->header('Vary'), undef, 'and nothing varies';
$s->stop;
done_testing;

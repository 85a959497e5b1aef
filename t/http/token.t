#!/usr/bin/perl
# Access tokens: what is accepted is exactly what this server signs, and what
# a stranger could make of one is refused alike.

use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 hmac_sha384);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use MIME::Base64 qw(decode_base64);
use Test::More;
use GoConnect::Server;

sub b64url {
    my $text = MIME::Base64::encode_base64($_[0], '');
    $text =~ tr{+/}{-_};
    $text =~ s/=+$//;
    return $text;
}

my $old = MIME::Base64::encode_base64('k' x 32, '');
my $s = GoConnect::Server->start(
    keys => GoConnect::Server::make_keys() . "jwt older $old\n");
my $u = $s->register('ada');
my %secret = do {
    open my $fh, '<', $s->dir . '/keys' or die $!;
    map { /^jwt (\S+) (\S+)/ ? ($1 => decode_base64($2)) : () } <$fh>;
};
my $now = time;
my %good = (aud => 'goconnect', exp => $now + 600, iat => $now, iss => $s->url,
    sid => $u->{session_id}, sub => $u->{id});

# Written by hand: the order of the members matters to the server.
sub header {
    my ($kid, $alg) = @_;
    return sprintf '{"alg":"%s","kid":"%s","typ":"JWT"}', $alg // 'HS256', $kid // 'test1';
}

sub claims {
    my %claim = (%good, @_);
    return '{' . join(',', map {
        sprintf '"%s":%s', $_, $claim{$_} =~ /^\d+$/ ? $claim{$_} : "\"$claim{$_}\""
    } grep { defined $claim{$_} } sort keys %claim) . '}';
}

sub token {
    my ($header, $claims, $secret) = @_;
    my $signed = b64url($header) . '.' . b64url($claims);
    return "$signed." . b64url(hmac_sha256($signed, $secret // $secret{test1}));
}

sub status {
    my ($token, $scheme) = @_;
    my ($status, $json) = $s->api(GET => '/v1/auth/me', undef,
        headers => { Authorization => ($scheme // 'Bearer') . " $token" });
    return ref $json && $json->{code} ? "$status $json->{code}" : $status;
}

is status($u->{token}), 200, 'the server\'s own token';
is status($u->{token}), 200, 'and again, from the table of verified ones';
is status($u->{token}, 'bearer'), 200, 'the scheme in lower case';
is status(token(header(), claims())), 200, 'one made here with the same key';
is status(token(header('older'), claims(), $secret{older})), 200, 'one under an older key of the ring';
is status(token(header(), claims(exp => $now - 2))), 200, 'just expired: within the leeway';

my ($h, $c, $sig) = split /\./, $u->{token};
my %refused = (
    'no signature'            => "$h.$c.",
    'two parts'               => "$h.$c",
    'four parts'              => "$u->{token}.x",
    'empty parts'             => '..',
    'a changed signature'     => "$h.$c." . ($sig =~ /^A/ ? 'B' : 'A') . substr($sig, 1),
    'a shortened signature'   => "$h.$c." . substr($sig, 0, -4),
    'a longer signature'      => "$h.$c.${sig}AAAA",
    'changed claims'          => "$h." . b64url(claims(sub => '00000000-0000-4000-8000-000000000000')) . ".$sig",
    'alg none, unsigned'      => b64url(header('test1', 'none')) . ".$c.",
    'alg none, signed'        => token(header('test1', 'none'), claims()),
    'alg HS384'               => do {
        my $signed = b64url(header('test1', 'HS384')) . '.' . b64url(claims());
        "$signed." . b64url(hmac_sha384($signed, $secret{test1}));
    },
    'alg RS256 over our key'  => token(header('test1', 'RS256'), claims()),
    'no kid'                  => token('{"alg":"HS256","typ":"JWT"}', claims()),
    'an unknown kid'          => token(header('other'), claims()),
    'the kid of another key'  => token(header('older'), claims()),
    'another key'             => token(header(), claims(), 'x' x 32),
    'another audience'        => token(header(), claims(aud => 'other')),
    'no audience'             => token(header(), claims(aud => undef)),
    'another issuer'          => token(header(), claims(iss => 'https://example.org')),
    'no issuer'               => token(header(), claims(iss => undef)),
    'expired'                 => token(header(), claims(exp => $now - 60)),
    'no expiry'               => token(header(), claims(exp => undef)),
    'expiry as a string'      => token(header(), claims(exp => 'tomorrow')),
    'issued in the future'    => token(header(), claims(iat => $now + 600)),
    'no session'              => token(header(), claims(sid => undef)),
    'a session that is no id' => token(header(), claims(sid => "x'; --")),
    'a user that is no id'    => token(header(), claims(sub => 'admin')),
    'an upper-case user'      => token(header(), claims(sub => uc $u->{id})),
    'a device that is no id'  => token(header(), claims(dev => 'laptop')),
    'claims that are no JSON' => token(header(), 'hello'),
    'claims that are a list'  => token(header(), '[]'),
    'one byte'                => 'x',
    '1,025 bytes'             => 'x' x 1025,
    '7,000 bytes'             => 'x.' x 3500,
);
for my $name (sort keys %refused) {
    is status($refused{$name}), '401 token_invalid', "refused: $name";
}
is status($u->{token}, 'Basic'), '401 token_missing', 'another scheme';
is status(''), '401 token_missing', 'no token';

subtest 'a session that was ended' => sub {
    is status($u->{token}), 200, 'works';
    is +($s->api(POST => '/v1/auth/logout', undef, token => $u->{token}))[0], 204, 'log out';
    is status($u->{token}), '401 session_revoked', 'at once refused, though it is verified and fresh';
};

subtest 'a key that is taken out of the ring' => sub {
    my $v = $s->login('ada');
    is status($v->{token}), 200, 'before';
    $s->write_file('keys', GoConnect::Server::make_keys() =~ s/test1/test2/gr, 0600);
    $s->reload;
    is status($v->{token}), '401 token_invalid', 'after the reload';
    is status($s->login('ada')->{token}), 200, 'the new key signs';
};

$s->stop;
done_testing;

package GoConnect::Contract;

# Answers against html/openapi.yaml.
#
#   GoConnect::Contract::check($route, $status, $json, $tx)
#
# returns what is wrong with an answer of the route (GoConnect::Routes), as a
# list of sentences: an undocumented status, another content type, a body that
# is not of its schema, a missing header.

use strict;
use warnings;
use GoConnect::Cluster;
use JSON::Validator;
use YAML::XS ();

my ($API, %VALIDATOR, %EXERCISED);

sub api { return $API //= _load() }

# "name status" of all that check() has seen.
sub exercised { return sort keys %EXERCISED }

sub _load {
    local $YAML::XS::Boolean = 'JSON::PP';
    return _plain(YAML::XS::LoadFile("$GoConnect::Cluster::ROOT/html/openapi.yaml"));
}

# OpenAPI's `nullable` in the words of JSON Schema.
sub _plain {
    my ($node) = @_;
    return [ map { _plain($_) } @$node ] if ref $node eq 'ARRAY';
    return $node if ref $node ne 'HASH';
    my %copy = map { $_ => _plain($node->{$_}) } keys %$node;
    return \%copy if ref $copy{nullable} eq 'HASH' || !delete $copy{nullable};
    return { anyOf => [ { type => 'null' }, \%copy ] };
}

sub _operation {
    my ($route) = @_;
    my $key = $route->{path} =~ s/\{[^}]+\}/{}/gr;
    for my $path (keys %{ api()->{paths} }) {
        return api()->{paths}{$path}{ lc $route->{method} } if $path =~ s/\{\w+\}/{}/gr eq $key;
    }
    return;
}

sub _response {
    my ($operation, $status) = @_;
    my $response = $operation->{responses}{$status} or return;
    if (my $ref = $response->{'$ref'}) {
        my ($name) = $ref =~ m{([^/]+)\z};
        $response = api()->{components}{responses}{$name};
    }
    return $response;
}

# A validator of a schema that may refer to the components.
sub _validator {
    my ($key, $schema) = @_;
    return $VALIDATOR{$key} //= JSON::Validator->new->schema(
        { %$schema, components => { schemas => api()->{components}{schemas} } });
}

my %ANYWHERE = map { $_ => 1 } 400, 405, 413, 415, 429, 503;

sub check {
    my ($route, $status, $json, $tx) = @_;
    my $operation = _operation($route) or return "no operation for $route->{name}";
    $EXERCISED{"$route->{name} $status"}++;

    my $response = _response($operation, $status);
    if (!$response) {
        return "$status is not documented" if !$ANYWHERE{$status};
        $response = api()->{components}{responses}{Problem404};
    }
    my @wrong = _headers($route, $status, $tx);
    my $content = $response->{content};
    my $type = ($tx->res->headers->content_type // '') =~ s/;.*//r;
    if (!$content) {
        push @wrong, 'a body where none was promised' if length $tx->res->body;
        return @wrong;
    }
    return @wrong, "content type '$type'" if !$content->{$type};
    return @wrong if $type !~ /json/;
    push @wrong, "the status in the problem is $json->{status}"
        if $type eq 'application/problem+json' && $json->{status} != $status;
    return @wrong, map { "$_" }
        _validator("$route->{name} $status $type", $content->{$type}{schema})->validate($json);
}

sub _headers {
    my ($route, $status, $tx) = @_;
    my $headers = $tx->res->headers;
    my @wrong;
    push @wrong, 'no X-Request-Id' if ($headers->header('X-Request-Id') // '') !~ /^[0-9a-f]{32}\z/;
    my $cache = $status >= 400 || $route->{flags}{SECRET} ? 'no-store' : 'private, no-cache';
    push @wrong, 'Cache-Control: ' . ($headers->cache_control // '(none)')
        if ($headers->cache_control // '') ne $cache;
    push @wrong, '401 without WWW-Authenticate'
        if $status == 401 && ($headers->www_authenticate // '') !~ /^Bearer realm=/;
    push @wrong, "$status without Retry-After"
        if ($status == 503 || $status == 429) && !$headers->header('Retry-After');
    return @wrong;
}

1;

package GoConnect::Contract;

# Answers against html/openapi.yaml.
#
#   GoConnect::Contract::check($route, $status, $json, $tx)
#
# returns what is wrong with an answer of the route (GoConnect::Routes), as a
# list of sentences: an undocumented status, another content type, a body that
# is not of its schema, a missing header. check_request() takes method and path
# instead of the route.

use strict;
use warnings;
use GoConnect::Cluster;
use GoConnect::Routes;
use JSON::Validator;
use YAML::XS ();

my ($API, %VALIDATOR);

sub api { return $API //= _load() }

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

my %OPERATION;    # "GET /v1/networks/{}" => the operation

sub _operations {
    return \%OPERATION if %OPERATION;
    my $paths = api()->{paths};
    for my $path (keys %$paths) {
        my $key = $path =~ s/\{\w+\}/{}/gr;
        $OPERATION{ uc($_) . " $key" } = $paths->{$path}{$_} for keys %{ $paths->{$path} };
    }
    return \%OPERATION;
}

# All of them, and that of a method and a path as routes.def has it, or none.
sub operations { return values %{ _operations() } }

sub operation {
    my ($method, $path) = @_;
    return _operations()->{ "$method " . $path =~ s/\{[^}]+\}/{}/gr };
}

my %ROUTE;       # method => [[pattern, route], ...]
my %TYPE = (uuid => qr/[0-9A-Fa-f-]{36}/, code => qr/[^\/]+/);

# The route of a request, or none.
sub route {
    my ($method, $path) = @_;
    if (!%ROUTE) {
        for my $route (GoConnect::Routes::all()) {
            my $pattern = $route->{path} =~ s/\{\w+:(\w+)\}/$TYPE{$1}/gr;
            push @{ $ROUTE{ $route->{method} } }, [ qr/\A$pattern(?:\?|\z)/, $route ];
        }
    }
    my ($found) = grep { $path =~ $_->[0] } @{ $ROUTE{$method} // [] };
    return $found && $found->[1];
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

# A validator of a schema that may refer to the components; of each that has a
# name there is one.
sub _validator {
    my ($key, $schema) = @_;
    return $VALIDATOR{ $schema->{'$ref'} // $key } //= JSON::Validator->new->schema(
        { %$schema, components => { schemas => api()->{components}{schemas} } });
}

# What any operation may answer, as info.description says.
my %ANYWHERE = map { $_ => 1 } 400, 405, 413, 415, 429, 503;

sub general { return $ANYWHERE{ $_[0] } }

# A request of which only method and path are known: its answer where it has a
# route, a problem wherever it comes from.
sub check_request {
    my ($method, $path, $status, $json, $tx) = @_;
    my $route = route($method, $path);
    return check($route, $status, $json, $tx) if $route;
    my $type = ($tx->res->headers->content_type // '') =~ s/;.*//r;
    return if $type ne 'application/problem+json' || $method eq 'HEAD';
    return map { "$_" } _validator('', { '$ref' => '#/components/schemas/Problem' })->validate($json);
}

my %FRAME;       # type => the name of its data's schema

# What is wrong with a frame of the WebSocket: its data is of the schema that
# says so, a problem, or a read mark; of others only the envelope is looked at.
sub check_frame {
    my ($frame) = @_;
    if (!%FRAME) {
        my $schemas = api()->{components}{schemas};
        %FRAME = (error => 'Problem', read_mark => 'ReadMark');
        for my $name (keys %$schemas) {
            $FRAME{$1} = $name
                if ($schemas->{$name}{description} // '') =~ /^The data of a WebSocket frame `(\w+)`/;
        }
    }
    my @wrong = map { "a member `$_`" } grep { !/^(?:type|data|topic|seq|id)\z/ } sort keys %$frame;
    push @wrong, 'no data' if ref $frame->{data} ne 'HASH';
    my $schema = $FRAME{ $frame->{type} } or return @wrong;
    return @wrong, map { "$_" } _validator('', { '$ref' => "#/components/schemas/$schema" })->validate($frame->{data});
}

sub check {
    my ($route, $status, $json, $tx) = @_;
    my $operation = operation(@$route{qw(method path)}) or return "no operation for $route->{name}";

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

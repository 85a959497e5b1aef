# html/openapi.yaml against the route table, in both directions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Routes;
use JSON::Validator;
use Test::More;
use YAML::XS ();

$YAML::XS::Boolean = 'JSON::PP';
my $api = YAML::XS::LoadFile("$FindBin::Bin/../../html/openapi.yaml");

sub resolve {
    my ($node) = @_;
    while (ref $node eq 'HASH' && $node->{'$ref'}) {
        my (undef, @path) = split m{/}, $node->{'$ref'};
        $node = $api;
        $node = $node->{$_} // die "nothing at @path\n" for @path;
    }
    return $node;
}

# OpenAPI's own rules.
my $schema = JSON::Validator->new->schema($api)->schema;
is ref $schema, 'JSON::Validator::Schema::OpenAPIv3', 'it is OpenAPI 3';
is join("\n", @{ $schema->errors }), '', 'and valid';

# Every reference leads somewhere.
sub references {
    my ($node) = @_;
    if (ref $node eq 'HASH') {
        return ($node->{'$ref'} && !ref $node->{'$ref'} ? $node->{'$ref'} : (),
            map { references($_) } values %$node);
    }
    return ref $node eq 'ARRAY' ? map { references($_) } @$node : ();
}

my %seen;
for my $reference (grep { !$seen{$_}++ } references($api)) {
    ok eval { defined resolve({ '$ref' => $reference }) }, "$reference exists";
}

# And every component is used, if not by REST then by the WebSocket.
for my $kind (grep { $_ ne 'securitySchemes' } keys %{ $api->{components} }) {
    for my $name (keys %{ $api->{components}{$kind} }) {
        ok $seen{"#/components/$kind/$name"}
            || ($api->{components}{$kind}{$name}{description} // '') =~ /^The data of a WebSocket frame `\w+`/,
            "$kind/$name is used";
    }
}

my %operation;
for my $path (keys %{ $api->{paths} }) {
    for my $method (keys %{ $api->{paths}{$path} }) {
        my $op = $api->{paths}{$path}{$method};
        my $key = uc($method) . ' ' . $path =~ s/\{\w+\}/{}/gr;
        $operation{$key} = $op;
        my @in_path = $path =~ /\{(\w+)\}/g;
        my @said = map { $_->{name} } grep { $_->{in} eq 'path' }
            map { resolve($_) } @{ $op->{parameters} // [] };
        is_deeply [ sort @said ], [ sort @in_path ], "$key: the path's parameters";
    }
}

my %route = map { ("$_->{method} " . $_->{path} =~ s/\{[^}]+\}/{}/gr) => $_ } GoConnect::Routes::all();

is_deeply [ sort keys %operation ], [ sort keys %route ],
    'the contract and the route table have the same operations';

# What goes in and out has an example (redocly checks them: t/browser).
for my $key (sort keys %operation) {
    my $op = $operation{$key};
    my %content = (body => resolve($op->{requestBody} // {})->{content},
        map { ($_ => resolve($op->{responses}{$_})->{content}) } keys %{ $op->{responses} });
    for my $where (sort keys %content) {
        for my $kind (grep { /json/ } keys %{ $content{$where} // {} }) {
            my $said = $content{$where}{$kind};
            my $schema = resolve($said->{schema});
            ok exists $said->{example} || exists $said->{examples} || exists $schema->{example}
                || !$schema->{properties}, "$key: $where has an example";
        }
    }
}

my %list = (ENDPOINTS => 'ENDPOINT', UUIDS => 'UUID', LABELS => 'LABEL', CIDRS => 'PREFIX',
    RULES => 'RULE');
my %type = (INT => 'integer', BOOL => 'boolean', OBJECT => 'object', RULE => 'object',
    map { $_ => 'array' } keys %list);

sub field_ok {
    my ($what, $field, $schema) = @_;
    is $schema->{type}, $type{ $field->{type} } // 'string', "$what: type";
    is !!$schema->{nullable}, $field->{presence} eq 'NULLABLE', "$what: nullable";
    if ($field->{type} eq 'CHOICE') {
        is join('|', @{ $schema->{enum} }), $field->{detail}, "$what: choices";
    } elsif ($field->{type} eq 'INT') {
        is $schema->{minimum}, $field->{min}, "$what: minimum";
        is $schema->{maximum}, $field->{max}, "$what: maximum" if $field->{max} ne 'INT64_MAX';
    } elsif (my $item = $list{ $field->{type} }) {
        is $schema->{maxItems}, $field->{max}, "$what: at most";
        is $schema->{minItems} // 0, $field->{min}, "$what: at least";
        field_ok("$what\[]", { type => $item, min => 1, max => 63, presence => 'REQUIRED' },
            resolve($schema->{items})) if $item ne 'ENDPOINT';
    } elsif ($field->{type} eq 'RULE') {
        is_deeply [ sort keys %{ $schema->{properties} } ],
            [ sort qw(action source destination protocol port_first port_last) ], "$what: members";
        ok defined $schema->{additionalProperties} && !$schema->{additionalProperties},
            "$what: closed";
    } elsif ($field->{type} eq 'PREFIX') {
        is $schema->{maxLength}, 49, "$what: longest";
    } elsif ($field->{type} !~ /^(?:UUID|CIDR|OBJECT|BOOL)$/) {
        is $schema->{maxLength}, $field->{max}, "$what: longest";
        is $schema->{minLength} // 0, $field->{min}, "$what: shortest"
            if $field->{type} ne 'BYTES';
    }
    return;
}

for my $key (sort keys %route) {
    my ($route, $op) = ($route{$key}, $operation{$key});
    next if !$op;

    is $op->{operationId}, $route->{name}, "$key: operationId";
    is !!($op->{security} && !@{ $op->{security} }), $route->{credential} eq 'NONE',
        "$key: credential";
    ok $op->{responses}{401}, "$key: may be 401" if $route->{credential} ne 'NONE';
    ok $op->{responses}{403}, "$key: may be 403" if $route->{credential} eq 'USER';
    ok $op->{responses}{404}, "$key: may be 404" if @{ $route->{params} };
    ok $op->{responses}{503}, "$key: may be 503" if $route->{finish};
    ok +(grep { /^2/ } keys %{ $op->{responses} }), "$key: may succeed";

    my @parameter = map { resolve($_) } @{ $op->{parameters} // [] };
    my @query = grep { $_->{in} eq 'query' } @parameter;
    is_deeply [ map { $_->{name} } @query ], [ map { $_->{name} } @{ $route->{query} } ],
        "$key: query";
    for my $field (@{ $route->{query} }) {
        my ($parameter) = grep { $_->{name} eq $field->{name} } @query;
        my $schema = resolve($parameter->{schema});
        field_ok("$key?$field->{name}", $field, $schema);
        my ($default) = split /\|/, $field->{detail};
        is $schema->{default}, $default, "$key?$field->{name}: default";
    }
    is !!(grep { $_->{name} eq 'Idempotency-Key' } @parameter), !!$route->{flags}{IDEMPOTENT},
        "$key: idempotency";

    my $body = $op->{requestBody};
    is !!$body, !!@{ $route->{body} // [] }, "$key: body" or next;
    next if !$body;
    my $schema = resolve($body->{content}{'application/json'}{schema});
    ok defined $schema->{additionalProperties} && !$schema->{additionalProperties},
        "$key: the body is closed";
    is_deeply [ sort keys %{ $schema->{properties} } ],
        [ sort map { $_->{name} } @{ $route->{body} } ], "$key: members";
    my @required = map { $_->{name} } grep { $_->{presence} eq 'REQUIRED' } @{ $route->{body} };
    is_deeply [ sort @{ $schema->{required} // [] } ], [ sort @required ], "$key: required members";
    field_ok("$key.$_->{name}", $_, resolve($schema->{properties}{ $_->{name} }))
        for @{ $route->{body} };
}

# ---------------------------------------------------------------------- codes

# Every code that a source can answer with is published, and no other.
sub slurp {
    return join '', map { open my $fh, '<', $_ or die "$_: $!"; local $/; <$fh> } map { glob } @_;
}

my $root = "$FindBin::Bin/../..";
my $c = slurp("$root/ngx_goconnect_module/http/*.c");
my $sql = slurp("$root/sql/api/*.sql");
my $def = slurp("$root/ngx_goconnect_module/http/constraints.def") =~ s{/\*.*?\*/}{}gsr;
my (%code, %field_code);

$code{"$1 $2"}++ while $sql =~ /_(?:refuse|raise)\((\d{3}), '(\w+)'/g;
$code{"401 $1"}++ while $sql =~ /ROW\(401, json_build_object\('code', '(\w+)'/g;
while ($def =~ /GC_CONSTRAINT\(\w+,\s*(\d+),\s*"(\w+)"/g) {
    $1 == 422 ? $field_code{$2}++ : $code{"$1 $2"}++;
}
my %constant = (BAD_REQUEST => 400, UNAUTHORIZED => 401, FORBIDDEN => 403, NOT_FOUND => 404,
    NOT_ALLOWED => 405, CONFLICT => 409,
    PRECONDITION_FAILED => 412, REQUEST_ENTITY_TOO_LARGE => 413,
    UNSUPPORTED_MEDIA_TYPE => 415, INTERNAL_SERVER_ERROR => 500);
while ($c =~ /http_problem\(\s*ctx,\s*NGX_HTTP_(\w+),\s*"(\w+)"/g) {
    $code{ ($constant{$1} // $1) . " $2" }++;
}
$code{"503 $1"}++ while $c =~ /http_unavailable\(\s*ctx,\s*"(\w+)"/g;
$code{"503 $1"}++ while $c =~ /\{"[0-9A-Z]{2,5}",\s*"(\w+)"/g;
$code{"400 $1"}++ while $c =~ /\{json_error_\w+,\s*"(\w+)"/g;
$code{"422 $_"}++ for qw(invalid_fields unknown_field);
$field_code{$1}++ while $c =~ /goconnect_bad\(\s*"(\w+)"/g;
$field_code{$1}++ while $sql =~ /_(?:wrong|invalid)\([^,()]+,\s*'(\w+)'/g;
delete $code{'401 invalid_ticket'};    # of the WebSocket alone

my @published = map { my $group = $_; map { "$group->{status} $_" } @{ $group->{codes} } }
    @{ $api->{components}{schemas}{Code}{'x-codes'} };
is_deeply [ sort keys %code ], [ sort @published ], 'the codes of problems are published';
is_deeply [ sort keys %field_code ], [ sort @{ $api->{components}{schemas}{FieldCode}{'x-codes'} } ],
    'and those of fields';

done_testing;

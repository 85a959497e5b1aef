# What every route has in common, asked of every route of the table: HEAD and
# OPTIONS, other methods, other content types, bodies that are no JSON or have
# too much in them, conditional requests, cursors, idempotency.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Routes;
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(encode_json);
use Test::More;

my $ORIGIN = 'https://app.example';
my $s = GoConnect::Server->start(workers => 2, cluster => 'own',
    http => "goconnect_cors_origin $ORIGIN;");
my $w = GoConnect::World->new($s, excluded => 1);
my $home = $w->{home};
my $UNKNOWN = '00000000-0000-4000-8000-000000000000';

# Without an ETag: what is no resource with a version.
my %no_etag = map { $_ => 1 } qw(healthz readyz metrics info openapi invites_preview
    auth_device_get devices_netmap peers_config networks_mesh
    admin_stats audit_verify admin_audit_verify);

# Without If-Match: what has no version that anybody could have read.
my %no_match = map { $_ => 1 } qw(invites_delete enrollment_keys_delete);

# ---------------------------------------------------------------- what is asked

# Ids that lead somewhere, by the words around them, and who may go there.
my %id = (
    tenants  => sub { $home->{tenant} },
    networks => sub { $home->{network} },
    members  => sub { $home->{user} },
    users    => sub { $home->{user} },
    devices  => sub { $home->{device} },
    peers    => sub { $home->{peer} },
    invites  => sub { $_[0] eq 'code' ? $home->{code} : $home->{invite} },
    messages => sub {
        $w->must(201, 'tenant_messages_create', as => 'owner', path => [ $home->{tenant} ],
            body => { content => 'one' })->{id};
    },
    device => sub {
        $w->must(200, 'auth_device_code', body => { name => 'nas', platform => 'linux',
            public_key => $s->wg_key })->{user_code};
    },
    'enrollment-keys' => sub {
        $w->must(201, 'enrollment_keys_create', as => 'owner', path => [ $home->{tenant} ],
            body => { name => 'one' })->{id};
    },
);

sub path_values {
    my ($route) = @_;
    my @value;
    while ($route->{path} =~ m{([\w-]+)/\{\w+:(\w+)\}}g) {
        push @value, $id{$1} ? $id{$1}->($2) : $2 eq 'code' ? 'ABCDEFGHJK' : $UNKNOWN;
    }
    return \@value;
}

sub caller_of {
    my ($route) = @_;
    return 'nobody' if $route->{credential} eq 'NONE';
    return 'server admin' if $route->{path} =~ m{^/v1/admin/};
    return $route->{path} =~ m{^/v1/(?:devices|peers)/} ? 'member' : 'owner';
}

my %value = (
    TEXT => sub { 'x' x ($_[0]{min} || 1) }, LINES => sub { 'x' }, BYTES => sub { 'x' x 12 },
    USERNAME => sub { 'abc' }, EMAIL => sub { 'a@example.org' }, SLUG => sub { 'abc' },
    LABEL => sub { 'abc' }, INT => sub { 0 + $_[0]{min} }, UUID => sub { $UNKNOWN },
    CHOICE => sub { (split /\|/, $_[0]{detail})[0] }, OBJECT => sub { {} }, KEY => sub { $s->wg_key },
    CIDR => sub { '10.9.8.0/24' }, CODE => sub { 'ABCDEFGHJK' }, TOKEN => sub { 'x' x 43 },
    BOOL => sub { \1 },
    map { $_ => sub { [] } } qw(ENDPOINTS UUIDS LABELS CIDRS RULES),
);

# What a body needs besides: one of its members, or a code of another kind.
my %more = (reservations_create => { name => 'held' }, devices_create => { public_key => $s->wg_key },
    auth_device_approve => { user_code => 'BCDFGHJK' });

# The least that the shape of the body asks for.
sub least {
    my ($route) = @_;
    my %field = map { $_->{name} => ($value{ $_->{type} } // die "no value for $_->{type}\n")->($_) }
        grep { $_->{presence} eq 'REQUIRED' } @{ $route->{body} };
    return { %field, %{ $more{ $route->{name} } // {} } };
}

sub call {
    my ($route, %opt) = @_;
    return $w->call($route->{name}, as => caller_of($route), %opt,
        path => $opt{path} // path_values($route));
}

sub code_of { my ($status, $json) = @_; return join ' ', $status, ref $json ? $json->{code} // () : () }

my @route = GoConnect::Routes::all();

# --------------------------------------------------------------------- methods

subtest 'methods' => sub {
    for my $route (@route) {
        my $path = $w->path($route, path_values($route));
        my (undef, undef, $tx) = $s->api(OPTIONS => $path, undef, headers => { Origin => $ORIGIN,
            'Access-Control-Request-Method' => $route->{method} });
        my $allow = $tx->res->headers->header('Allow') // '';
        is $tx->res->code, 204, "OPTIONS of $route->{name}";
        like $allow, qr/\b$route->{method}\b/, '  tells the method';
        is $tx->res->headers->header('Access-Control-Allow-Methods'), $allow, '  to a page, too';
        is $tx->res->headers->header('Access-Control-Allow-Origin'), $ORIGIN, '  of a configured origin';

        my ($other) = grep { $allow !~ /\b$_\b/ } qw(PUT DELETE PATCH POST GET);
        my ($status, $json);
        ($status, $json, $tx) = $s->api($other => $path);
        is code_of($status, $json), '405 method_not_allowed', "$other of it";
        is $tx->res->headers->header('Allow'), $allow, '  tells them, too';
    }
};

subtest 'HEAD' => sub {
    for my $route (grep { $_->{method} eq 'GET' } @route) {
        my @values = @{ path_values($route) };
        my @args = ($w->path($route, \@values), undef, token => $w->token(caller_of($route)));
        my ($want, undef, $get) = $s->api(GET => @args);
        my ($got, undef, $head) = $s->api(HEAD => @args);
        is $got, $want, "HEAD of $route->{name}";
        is $head->res->body, '', '  has no body';
        # what is a moment later another text, and what counts requests
        my @header = ('Content-Type', 'Cache-Control', 'ETag',
            $route->{name} eq 'metrics' ? () : 'Content-Length');
        is_deeply [ map { $head->res->headers->header($_) } @header ],
            [ map { $get->res->headers->header($_) } @header ], '  and the same head';
    }
};

# ----------------------------------------------------------------------- bodies

subtest 'bodies' => sub {
    for my $route (grep { $_->{body} && @{ $_->{body} } } @route) {
        my $name = $route->{name};
        my $good = encode_json(least($route));
        my %type = (headers => { 'Content-Type' => 'text/plain' });
        is code_of(call($route, body => $good, %type)), '415 unsupported_media_type', "$name: as text";
        is code_of(call($route, body => $good,
            headers => { 'Content-Type' => 'application/x-www-form-urlencoded' })),
            '415 unsupported_media_type', "$name: as a form";
        for my $bad ([ '{', 'invalid_json' ], [ '{"a":1}x', 'invalid_json' ],
            [ "{\"a\":\"\xff\"}", 'invalid_utf8' ], [ '{"a":1,"a":2}', 'duplicate_member' ])
        {
            my $got = code_of(call($route, body => $bad->[0]));
            like $got, qr/^400 \w+$/, "$name: $bad->[1]";
        }
        like code_of(call($route, body => '[]')), qr/^4(?:00|22) /, "$name: a list";
        is +(call($route, body => '{"a":"' . 'x' x 70_000 . '"}'))[0], 413, "$name: too long";

        my ($status, $json) = call($route, body => { %{ least($route) }, no_such_member => 1 });
        is code_of($status, $json), '422 unknown_field', "$name: a member too many";
        is_deeply [ map { "$_->{field} $_->{code}" } @{ $json->{errors} } ],
            ['no_such_member unknown_field'], '  is named';
        my @required = grep { $_->{presence} eq 'REQUIRED' } @{ $route->{body} };
        if (@required) {
            ($status, $json) = call($route, body => {});
            is $status, 422, "$name: nothing";
            is_deeply [ sort map { "$_->{field} $_->{code}" } @{ $json->{errors} } ],
                [ sort map { "$_->{name} required" } @required ], '  names what is missing';
        }
        # a key that is none matters only where one is heeded
        my %key = (headers => { 'Idempotency-Key' => 'nonsense' });
        is code_of(call($route, body => { no_such_member => 1, %{ least($route) } }, %key)),
            $route->{flags}{IDEMPOTENT} ? '400 invalid_idempotency_key' : '422 unknown_field',
            "$name: an Idempotency-Key that is none";
    }
};

# --------------------------------------------------------- conditional requests

subtest 'If-None-Match' => sub {
    for my $route (grep { $_->{method} eq 'GET' } @route) {
        my $name = $route->{name};
        my ($status, $json, $tx) = call($route, quiet => 1);
        next if $status != 200;
        my $etag = $tx->res->headers->etag;
        if (!defined $etag) {
            ok $no_etag{$name} || ref $json->{items}, "$name: no ETag, as it is a list or has no version";
            next;
        }
        ok !$no_etag{$name}, "$name: an ETag";
        my %path = (path => path_values($route));
        for my $tag ($etag, "W/$etag", '*', "\"other\", $etag") {
            ($status, undef, $tx) = call($route, %path, quiet => 1, headers => { 'If-None-Match' => $tag });
            is $status, 304, "$name: 304 for $tag";
            is $tx->res->headers->etag, $etag, '  with the ETag';
            is $tx->res->body, '', '  without a body';
            is $tx->res->headers->cache_control, 'private, no-cache', '  and what a cache needs';
        }
        ($status) = call($route, %path, quiet => 1, headers => { 'If-None-Match' => '"other"' });
        is $status, 200, "$name: another one";
    }
};

subtest 'If-Match' => sub {
    for my $route (grep { $_->{method} =~ /^(?:PATCH|DELETE)\z/ } @route) {
        my $name = $route->{name};
        my %path = (path => path_values($route));
        next if grep { $_ eq $UNKNOWN } @{ $path{path} };
        my ($status, $json) = call($route, %path, headers => { 'If-Match' => '"0"' },
            $route->{body} ? (body => least($route)) : ());
        if ($no_match{$name}) {
            like $status, qr/^2/, "$name: heeds no If-Match";
        } else {
            is code_of($status, $json), '412 precondition_failed', "$name: of another version";
        }
    }
};

# ------------------------------------------------------------------------ lists

subtest 'lists' => sub {
    for my $route (@route) {
        my %field = map { $_->{name} => $_ } @{ $route->{query} };
        my $name = $route->{name};
        if ($field{cursor}) {
            for my $cursor ('no such thing!', '../..', "'", '1_', 'x' x 257) {
                my ($status, $json) = call($route, query => { cursor => $cursor });
                is $status, 422, "$name: a cursor of nonsense";
                is $json->{errors}[0]{field}, 'cursor', '  is named';
            }
        }
        if ($field{limit}) {
            is +(call($route, query => { limit => $_ }))[0], 422, "$name: limit=$_"
                for 0, $field{limit}{max} + 1, -1, 'x', '1.5';
            my ($status, $json) = call($route, query => { limit => 1 });
            is $status, 200, "$name: limit=1";
            cmp_ok scalar @{ $json->{items} }, '<=', 1, '  is heeded';
            ok exists $json->{next_cursor}, '  and says how to go on';
        }
        for my $id (grep { $_->{type} eq 'UUID' } @{ $route->{query} }) {
            my ($status, $json) = call($route, query => { $id->{name} => 'x' });
            is $status, 422, "$name: $id->{name}=x";
            is $json->{errors}[0]{field}, $id->{name}, '  is named';
        }
        next if $route->{method} ne 'GET';
        my ($want) = call($route, quiet => 1);
        my ($got) = call($route, quiet => 1, query => { no_such_parameter => 'x' });
        is $got, $want, "$name: an unknown parameter is ignored";
    }
};

# ------------------------------------------------------------------ idempotency

subtest 'Idempotency-Key' => sub {
    for my $route (grep { $_->{flags}{IDEMPOTENT} } @route) {
        my $name = $route->{name};
        my $key = sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40;
        my %path = (path => path_values($route), headers => { 'Idempotency-Key' => $key });
        my $body = least($route);
        my ($first, $made) = call($route, %path, body => $body);
        like $first, qr/^2/, "$name: the first time" or next;
        my ($second, $again) = call($route, %path, body => $body);
        is $second, $first, "$name: once more";
        is_deeply $again, $made, '  is the same answer';
        ($second, $again) = call($route, %path, body => $body,
            headers => { 'Idempotency-Key' => uc $key });
        is_deeply $again, $made, '  also in capitals';
        my ($text) = grep { $_->{name} =~ /^(?:name|content)\z/ } @{ $route->{body} };
        is code_of(call($route, %path, body => { %$body, $text->{name} => 'another' })),
            '409 idempotency_conflict', "$name: for something else";
        my ($third, $new) = call($route, path => $path{path},
            body => { %$body, $text->{name} => 'without-a-key' });
        is $third, $first, "$name: without a key";
        isnt $new->{id}, $made->{id}, '  is another one';
    }
};

# ---------------------------------------------------------- without the database

# The last one, as every path must lead somewhere first.
subtest 'without the database' => sub {
    my @asked = map { [ $_, path_values($_) ] } grep { $_->{finish} } @route;
    $s->stop_database;
    for my $asked (@asked) {
        my ($route, $path) = @$asked;
        my ($status, $json) = call($route, path => $path, $route->{body} ? (body => least($route)) : ());
        is code_of($status, $json), '503 database_unavailable', $route->{name};
    }
    for my $route (grep { !$_->{finish} } @route) {
        my ($status) = call($route);
        is $status, $route->{name} eq 'readyz' ? 503 : 200, "$route->{name}, which asks none";
    }
    $s->start_database;
    $s->wait_pool;
};

$s->stop;
done_testing;

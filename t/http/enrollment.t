# Enrolment keys and device codes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Mojo::IOLoop;
use Mojo::JSON qw(false true);
use Mojo::Promise;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};

sub fields { my ($name, %more) = @_; return { name => $name, platform => 'linux', public_key => $s->wg_key, %more } }

sub key {
    my (%body) = @_;
    return $w->must(201, 'enrollment_keys_create', as => 'admin', path => [ $home->{tenant} ],
        body => { name => 'farm', %body });
}

# The answers to the same operation from many at once, as [status, JSON].
sub at_once {
    my ($path, $token, @body) = @_;
    my @answer;
    my @promise = map {
        $s->ua->post_p($s->url . $path => { $token ? (Authorization => "Bearer $token") : () },
            json => $_)->then(sub { push @answer, [ $_[0]->res->code, $_[0]->res->json ] });
    } @body;
    Mojo::Promise->all_settled(@promise)->wait;
    return @answer;
}

# ---------------------------------------------------------------------- keys

my ($key, $tx) = $w->is(201, undef, 'a key', 'enrollment_keys_create', as => 'admin',
    path => [ $home->{tenant} ], body => { name => 'Build farm', reusable => true, expires_in => 3600,
        networks => [ $home->{network}, $home->{lobby} ] });
like $key->{key}, qr/^gce_[A-Za-z0-9_-]{43}\z/, 'is told this once';
is $tx->res->headers->location, "/v1/tenants/$home->{tenant}/enrollment-keys", 'Location';
unlike $s->sql("SELECT string_agg(k::text, ' ') FROM goconnect.enrollment_keys k"),
    qr/\Q$key->{key}\E/, 'the database does not know it';
my $list = $w->must(200, 'enrollment_keys_list', as => 'owner', path => [ $home->{tenant} ],
    query => { limit => 1 });
is $list->{items}[0]{id}, $key->{id}, 'listed';
ok !exists $list->{items}[0]{key}, 'without the key itself';
$w->is(422, 'invalid_fields', 'a bad cursor', 'enrollment_keys_list', as => 'owner',
    path => [ $home->{tenant} ], query => { cursor => 'x' });
$w->is(422, 'invalid_fields', 'a foreign network', 'enrollment_keys_create', as => 'owner',
    path => [ $home->{tenant} ], body => { name => 'x', networks => [ $foreign->{network} ] });
my @twin = map {
    $w->must(201, 'networks_create', as => 'owner', path => [ $home->{tenant} ],
        body => { name => $_, cidr => '10.77.0.0/24' })->{id}
} qw(left right);
$w->is(409, 'address_overlap', 'networks that overlap', 'enrollment_keys_create', as => 'owner',
    path => [ $home->{tenant} ], body => { name => 'x', networks => \@twin });

# ----------------------------------------------------------------- enrolment

my ($device) = $w->is(201, undef, 'a device', 'auth_enroll',
    body => fields('one', key => $key->{key}));
is $device->{user}{username}, 'device-build-farm', 'of the service user';
is_deeply [ sort map { $_->{id} } @{ $device->{networks} } ],
    [ sort $home->{network}, $home->{lobby} ], 'may enter the networks of its key';
my @as = (token => $device->{access_token});
is $w->must(200, 'auth_me', @as)->{device}{id}, $device->{device}{id}, 'its token is a device\'s';
my $peer = $w->must(201, 'peers_create', @as, path => [ $home->{network} ],
    body => { public_key => $s->wg_key });
ok $peer->{ip_address}, 'it joins';
$w->is(403, 'insufficient_scope', 'and does nothing that a user does', 'tenants_list', @as);
my $renewed = $w->must(200, 'auth_refresh', body => { refresh_token => $device->{refresh_token} });
$w->must(200, 'auth_me', token => $renewed->{access_token});
my ($member) = grep { $_->{username} eq 'device-build-farm' }
    @{ $w->must(200, 'members_list', as => 'member', path => [ $home->{tenant} ])->{items} };
is "$member->{kind} $member->{role} $member->{status}", 'service member active', 'a member';
$w->is(401, 'invalid_credentials', 'nobody logs in as it', 'auth_login',
    body => { username => 'device-build-farm', password => $GoConnect::Server::PASSWORD });

$w->is(401, 'invalid_key', 'no such key', 'auth_enroll', body => fields('x', key => 'gce_x'));
$w->is(401, 'invalid_key', 'a key without its prefix', 'auth_enroll',
    body => fields('x', key => substr $key->{key}, 4));
$w->is(401, 'invalid_key', 'an access token is none', 'auth_enroll',
    body => fields('x', key => $w->{user}{owner}{token} =~ s/.*\.//r));
$w->is(422, 'invalid_fields', 'a private key that is all zero', 'auth_enroll',
    body => fields('x', key => $key->{key}, public_key => 'A' x 43 . '='));
$w->is(409, 'key_in_use', 'the device of a person', 'auth_enroll',
    body => fields('x', key => $key->{key}, public_key => $w->{device}{member}{key}));
my $old = key(name => 'old');
$s->sql("UPDATE goconnect.enrollment_keys SET expires_at = now() WHERE id = '$old->{id}'");
$w->is(403, 'key_expired', 'expired', 'auth_enroll', body => fields('x', key => $old->{key}));

my $once = key(name => 'once');
my @answer = at_once('/v1/auth/enroll', undef, map { fields("race $_", key => $once->{key}) } 1 .. 20);
is join(' ', sort map { $_->[0] } @answer), join(' ', 201, (403) x 19), 'one of twenty wins a key that is good once';
is join(' ', sort map { $_->[1]{code} // '-' } @answer), join(' ', '-', ('key_used') x 19), 'the others are told';
is $s->sql("SELECT uses FROM goconnect.enrollment_keys WHERE id = '$once->{id}'"), 1, 'counted once';
is $s->sql("SELECT count(*) FROM goconnect.devices WHERE name LIKE 'race %'"), 1, 'one device';

my $many = key(name => 'many', reusable => true, networks => [ $home->{network} ]);
@answer = at_once('/v1/auth/enroll', undef, map { fields("herd $_", key => $many->{key}) } 1 .. 20);
is join(' ', map { $_->[0] } @answer), join(' ', (201) x 20), 'twenty at once by a reusable one';
is $s->sql("SELECT uses FROM goconnect.enrollment_keys WHERE id = '$many->{id}'"), 20, 'all counted';
is $s->sql("SELECT count(*) FROM goconnect.memberships m JOIN goconnect.users u ON u.id = m.user_id
    WHERE u.username = 'device-many'"), 2, 'one member of tenant and network';
my $same = fields('same', key => $many->{key});
@answer = at_once('/v1/auth/enroll', undef, ($same) x 8);
is $s->sql("SELECT count(*) FROM goconnect.devices WHERE name = 'same'"), 1,
    'the same device eight times at once is one';
is $s->sql("SELECT count(*) FROM goconnect.sessions s JOIN goconnect.devices d ON d.id = s.device_id
    WHERE d.name = 'same'"), 1, 'with one session';

$w->is(204, undef, 'delete', 'enrollment_keys_delete', as => 'admin', path => [ $key->{id} ]);
$w->is(404, 'not_found', 'twice', 'enrollment_keys_delete', as => 'admin', path => [ $key->{id} ]);
$w->is(404, 'not_found', 'by a stranger', 'enrollment_keys_delete', as => 'outsider', path => [ $many->{id} ]);
$w->is(401, 'invalid_key', 'a deleted key', 'auth_enroll', body => fields('x', key => $key->{key}));
$w->must(200, 'auth_me', token => $renewed->{access_token});
is $s->sql("SELECT count(*) FROM goconnect.peers WHERE id = '$peer->{id}'"), 1, 'its devices stay';
$w->is(404, 'not_found', 'a device deletes no other', 'devices_delete', token => $renewed->{access_token},
    path => [ $s->sql("SELECT id FROM goconnect.devices WHERE name = 'same'") =~ s/\s//gr ]);
$w->is(204, undef, 'a device deletes itself', 'devices_delete', token => $renewed->{access_token},
    path => [ $device->{device}{id} ]);
$w->is(401, 'session_revoked', 'and is gone', 'auth_me', token => $renewed->{access_token});

$w->must(204, 'networks_delete', as => 'owner', path => [ $home->{lobby} ]);
$s->sql("UPDATE goconnect.networks SET required_role = 'moderator' WHERE id = '$home->{network}'");
$w->is(403, 'role_too_low', 'a network that wants more by now', 'auth_enroll',
    body => fields('x', key => $many->{key}));
$s->sql("UPDATE goconnect.networks SET required_role = 'member' WHERE id = '$home->{network}'");

# enrolments that cross the deletion of their network and of their key
for my $round (1 .. 3) {
    my $doomed = $w->must(201, 'networks_create', as => 'owner', path => [ $home->{tenant} ],
        body => { name => "doomed $round" });
    my $crossed = key(name => "crossed $round", reusable => true, networks => [ $doomed->{id} ]);
    my @got;
    my %owner = (Authorization => "Bearer $w->{user}{owner}{token}");
    my @call = map { [ POST => '/v1/auth/enroll', {}, fields("cross $round.$_", key => $crossed->{key}) ] } 1 .. 12;
    splice @call, 4, 0, [ DELETE => "/v1/networks/$doomed->{id}", \%owner ];
    splice @call, 9, 0, [ DELETE => "/v1/enrollment-keys/$crossed->{id}", \%owner ];
    Mojo::Promise->all_settled(map {
        my ($method, $path, $headers, $body) = @$_;
        my $tx = $s->ua->build_tx($method => $s->url . $path => $headers, $body ? (json => $body) : ());
        $s->ua->start_p($tx)->then(sub { push @got, $_[0]->res->code });
    } @call)->wait;
    is scalar(grep { !/^(?:201|204|401)\z/ } @got), 0, "crossing: each is done or refused: @got";
    my $left = $s->sql("SELECT count(*) FROM goconnect.devices WHERE name LIKE 'cross $round.%'");
    is $left, scalar(grep { $_ == 201 } @got), 'who was told so is enrolled, and nobody else';
    is $s->sql("SELECT count(*) FROM goconnect.users WHERE username = 'device-crossed-$round'"),
        $left ? 1 : 0, 'the service user is there if somebody needs it';
}

# --------------------------------------------------------------- device codes

sub code { return $w->must(200, 'auth_device_code', body => fields($_[0])) }
sub later { $s->sql("UPDATE goconnect.device_codes SET polled_at = polled_at - interval '1 minute'") }

sub poll {
    my ($expected, $code, $what, $asked) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    later();
    return scalar $w->is($expected, $code, $what, 'auth_device_token',
        body => { device_code => $asked->{device_code} });
}

my $nas = code('nas');
like $nas->{user_code}, qr/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\z/, 'a short code';
is $nas->{verification_uri}, $s->url . '/device', 'where it is typed';
is $nas->{verification_uri_complete}, $s->url . "/device?code=$nas->{user_code}", 'or opened';
is "$nas->{interval} $nas->{expires_in}", '5 600', 'how often, how long';
unlike $s->sql("SELECT string_agg(c::text, ' ') FROM goconnect.device_codes c"),
    qr/\Q$nas->{device_code}\E/, 'the database does not know the device\'s code';
poll(400, 'authorization_pending', 'nobody said yes', $nas);
$w->is(400, 'slow_down', 'asked too soon', 'auth_device_token',
    body => { device_code => $nas->{device_code} });
is $s->sql('SELECT poll_interval FROM goconnect.device_codes'), 10, 'the interval has grown';
my $typed = lc($nas->{user_code}) =~ s/-//r;
my ($asks) = $w->is(200, undef, 'who asks', 'auth_device_get', as => 'member', path => [$typed]);
is "$asks->{name} $asks->{platform} $asks->{address}", 'nas linux 127.0.0.1', 'its name, and from where';
$w->is(404, 'not_found', 'what is no code', 'auth_device_get', as => 'owner', path => ['x']);
$w->is(422, 'invalid_fields', 'nor here', 'auth_device_approve', as => 'owner',
    body => { user_code => 'ABCD-EFG', approve => true });
$w->is(422, 'invalid_fields', 'yes or no', 'auth_device_approve', as => 'owner',
    body => { user_code => $typed, approve => 'yes' });
$w->is(422, 'invalid_fields', 'a network that one is not in', 'auth_device_approve',
    as => 'member', body => { user_code => $typed, approve => true,
        networks => [ $home->{network}, $foreign->{network} ] });
$w->is(409, 'address_overlap', 'networks that overlap', 'auth_device_approve', as => 'owner',
    body => { user_code => $typed, approve => true, networks => \@twin });

@answer = at_once('/v1/auth/device/approve', $w->{user}{member}{token},
    map { { user_code => $typed, approve => true, networks => [ $home->{network} ] } } 1 .. 5);
is join(' ', sort map { $_->[0] } @answer), '204 409 409 409 409', 'approved by one of five';
$w->is(409, 'already_answered', 'nor by another', 'auth_device_approve', as => 'owner',
    body => { user_code => $typed, approve => true });
$w->is(409, 'already_answered', 'nor looked at', 'auth_device_get', as => 'owner', path => [$typed]);
later();
@answer = at_once('/v1/auth/device/token', undef, map { { device_code => $nas->{device_code} } } 1 .. 10);
is join(' ', sort map { $_->[0] } @answer), join(' ', 200, (400) x 9), 'ten polls at once get one device';
my ($got) = map { $_->[1] } grep { $_->[0] == 200 } @answer;
is $got->{user}{username}, 'member-x', 'of the user who said yes';
is $got->{device}{user_id}, $w->{user}{member}{id}, 'really';
is_deeply [ map { $_->{id} } @{ $got->{networks} } ], [ $home->{network} ], 'with the networks';
$w->must(201, 'peers_create', token => $got->{access_token}, path => [ $home->{network} ],
    body => { public_key => $s->wg_key });
poll(400, 'expired_token', 'once', $nas);

my $no = code('no');
$w->is(204, undef, 'no', 'auth_device_approve', as => 'member',
    body => { user_code => $no->{user_code}, approve => false });
poll(400, 'access_denied', 'is told', $no);

my $late = code('late');
$w->must(204, 'auth_device_approve', as => 'member',
    body => { user_code => $late->{user_code}, approve => true });
$s->sql("UPDATE goconnect.device_codes SET expires_at = now() WHERE name = 'late'");
poll(400, 'expired_token', 'too late', $late);
$w->is(404, 'not_found', 'no more to be approved', 'auth_device_approve', as => 'owner',
    body => { user_code => $late->{user_code}, approve => true });

my $taken = $w->must(200, 'auth_device_code', body => fields('taken',
    public_key => $w->{device}{owner}{key}));
$w->must(204, 'auth_device_approve', as => 'member',
    body => { user_code => $taken->{user_code}, approve => true });
poll(409, 'key_in_use', 'a device of somebody else', $taken);
$w->is(400, 'expired_token', 'no code at all', 'auth_device_token', body => { device_code => 'x' });
$w->is(422, 'invalid_fields', 'no name', 'auth_device_code', body => fields(''));
$w->is(422, 'invalid_fields', 'no code', 'auth_device_token', body => {});

# guesses
my $tv = code('tv');
my ($right) = $tv->{user_code};
my @guess = map { ($w->call('auth_device_get', as => 'pending', path => ["ZZZZZZZ$_"]))[0] } 0 .. 9;
is "@guess", join(' ', (404) x 10), 'ten guesses';
$w->is(429, 'too_many_attempts', 'and no more, even of a right one', 'auth_device_get',
    as => 'pending', path => [$right]);
$w->is(429, 'too_many_attempts', 'by whatever way', 'auth_device_approve', as => 'pending',
    body => { user_code => $right, approve => true });
$w->is(200, undef, 'of this account alone', 'auth_device_get', as => 'member', path => [$right]);
$s->sql('INSERT INTO goconnect.device_codes (hash, user_code, name, platform, public_key, address, expires_at) '
    . "SELECT sha256(i::text::bytea), upper(lpad(to_hex(i), 8, '0')), 'x', 'linux', "
    . "encode(sha256(i::text::bytea), 'base64'), '127.0.0.1', now() + interval '1 minute' "
    . 'FROM generate_series(1, 100) i');
$w->is(429, 'too_many_attempts', 'devices without end', 'auth_device_code', body => fields('x'));

# what a log may not hold
unlike $s->log, qr/\Q$key->{key}\E|\Q$nas->{device_code}\E/, 'no key and no code in the log';
$s->stop;

done_testing;

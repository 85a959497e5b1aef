package GoConnect::World;

# A small community for tests of the API:
#
#   my $w = GoConnect::World->new($server);
#   $w->{user}{owner|admin|moderator|member|pending|outsider}  { token, id, ... }
#   $w->{device}{NAME}      a device of each of them { token, id, key, ... }
#   $w->{home}              tenant, network (public, open; all four members are
#                           in it), lobby (a network that nobody has joined),
#                           user (the member), device and peer of his, invite,
#                           reservation
#   $w->{foreign}           the same for a private tenant of the outsider
#
# With excluded => 1 there are also those whom something was taken from: banned
# (from the tenant), barred (a member who is banned from the network), ended
# (a session of the owner that was logged out), "revoked device" (a device that
# the member has deleted; its token would live on), and a "server admin".
#
#   $w->call($route, as => 'member', path => {...}, query => {...}, body => ...)
#
# Each answer is checked against the contract (GoConnect::Server's api).

use strict;
use warnings;
use Carp qw(croak);
use Digest::SHA qw(hmac_sha256);
use GoConnect::Routes;
use MIME::Base64 qw(encode_base64url decode_base64);
use Mojo::JSON qw(encode_json);
use Test::More ();

my @ROLE = qw(owner admin moderator member);

sub new {
    my ($class, $server, %opt) = @_;
    my $self = bless { s => $server, route => { GoConnect::Routes::by_name() } }, $class;
    for my $name (@ROLE, qw(pending outsider)) {
        $self->{user}{$name} = $server->register("$name-x");
        $self->{device}{$name} = $server->device($self->{user}{$name});
    }
    my $home = $self->{home} = $self->_tenant('owner', 'Home');
    for my $name (qw(admin moderator member pending)) {
        my $role = $name eq 'pending' ? 'member' : $name;
        $self->must(201, 'members_add', as => 'owner', path => [ $home->{tenant} ],
            body => { username => "$name-x", role => $role });
        $self->must(200, 'members_accept', as => $name, path => [ $home->{tenant} ])
            if $name ne 'pending';
    }
    for my $name (@ROLE) {
        $self->must(200, 'networks_join', as => $name, path => [ $home->{network} ]);
    }
    $self->_contents($home, 'owner', 'member');
    my $foreign = $self->{foreign} = $self->_tenant('outsider', 'Foreign');
    $self->must(200, 'networks_join', as => 'outsider', path => [ $foreign->{network} ]);
    $self->_contents($foreign, 'outsider', 'outsider');
    $self->_excluded if $opt{excluded};
    return $self;
}

sub _excluded {
    my ($self) = @_;
    my ($s, $home) = @$self{qw(s home)};
    for my $name (qw(banned barred)) {
        my $user = $self->{user}{$name} = $s->register("$name-x");
        $self->{device}{$name} = $s->device($user);
        $self->must(201, 'members_add', as => 'owner', path => [ $home->{tenant} ],
            body => { username => "$name-x" });
        $self->must(200, 'members_accept', as => $name, path => [ $home->{tenant} ]);
        $self->must(200, 'networks_join', as => $name, path => [ $home->{network} ]);
    }
    $self->{user}{ended} = $s->login('owner-x');
    $self->must(204, 'auth_logout', as => 'ended');
    my $gone = $self->{device}{revoked} = $s->device($self->{user}{member});
    $self->must(204, 'devices_delete', as => 'member', path => [ $gone->{id} ]);
    $self->{user}{'server admin'} = $s->register('server-admin-x');
    $s->sql("UPDATE goconnect.users SET server_admin = true WHERE username = 'server-admin-x'");
    $s->sql("UPDATE goconnect.memberships SET status = 'banned' "
        . "WHERE tenant_id = '$home->{tenant}' AND (user_id = '$self->{user}{banned}{id}' "
        . "OR user_id = '$self->{user}{barred}{id}' AND network_id = '$home->{network}')");
    return;
}

sub _tenant {
    my ($self, $owner, $name) = @_;
    my $tenant = $self->must(201, 'tenants_create', as => $owner, body => { name => $name });
    my %made = (tenant => $tenant->{id});
    for my $kind (qw(network lobby)) {
        my $network = $self->must(201, 'networks_create', as => $owner, path => [ $tenant->{id} ],
            body => { name => $kind, visibility => 'public', join_policy => 'open' });
        $made{$kind} = $network->{id};
        $made{"${kind}_cidr"} = $network->{cidr};
        # who makes a network is in it
        $self->must(204, 'networks_leave', as => $owner, path => [ $network->{id} ]);
    }
    return \%made;
}

sub _contents {
    my ($self, $in, $owner, $who) = @_;
    $in->{user} = $self->{user}{$who}{id};
    $in->{device} = $self->{device}{$who}{id};
    my $peer = $self->must(201, 'peers_create', as => "$who device", path => [ $in->{network} ],
        body => { public_key => $self->{s}->wg_key });
    $in->{peer} = $peer->{id};
    my $invite = $self->must(201, 'invites_create', as => $owner, path => [ $in->{tenant} ],
        body => { max_uses => 1 });
    @$in{qw(invite code url)} = @$invite{qw(id code url)};
    $in->{reservation} = $self->must(201, 'reservations_create', as => $owner,
        path => [ $in->{network} ], body => { name => 'kept' })->{id};
    return;
}

# ------------------------------------------------------------------- callers

sub token {
    my ($self, $who) = @_;
    return undef if $who eq 'nobody';
    return $self->{device}{$1}{token} if $who =~ /^(\w+) device\z/;
    return ($self->{user}{$who} // croak "nobody is called $who")->{token};
}

# A JWT. By default as the server itself makes it for the user, now.
sub forge {
    my ($self, $who, %change) = @_;
    my $user = $self->{user}{$who};
    my $header = { alg => 'HS256', typ => 'JWT', kid => 'test1', %{ $change{header} // {} } };
    my $now = time;
    my $claims = { iss => $self->{s}{public_url} // $self->{s}->url, aud => 'goconnect', sub => $user->{id},
        sid => $user->{session_id}, iat => $now, exp => $now + 900,
        %{ $change{claims} // {} } };
    delete $claims->{$_} for grep { !defined $claims->{$_} } keys %$claims;
    my $text = join '.', map { encode_base64url(encode_json($_)) } $header, $claims;
    return "$text." if $header->{alg} eq 'none' && !$change{key};
    my $key = $change{key} // $self->jwt_key;
    return "$text." . encode_base64url(hmac_sha256($text, $key));
}

sub jwt_key {
    my ($self) = @_;
    open my $fh, '<', $self->{s}->dir . '/keys' or croak $!;
    my ($key) = map { /^jwt \S+ (\S+)/ ? $1 : () } <$fh>;
    return decode_base64($key);
}

# --------------------------------------------------------------------- calls

sub path {
    my ($self, $route, $values, $query) = @_;
    my @value = @{ $values // [] };
    my $path = $route->{path} =~ s/\{[^}]+\}/shift(@value) \/\/ croak "$route->{name}: path?"/ger;
    return $path if !$query;
    my $params = Mojo::Parameters->new(%$query);
    return "$path?$params";
}

# Options: as => caller or token => ..., path => [values], query => {}, body,
# headers, quiet => 1 (not checked against the contract).
sub call {
    my ($self, $name, %opt) = @_;
    my $route = $self->{route}{$name} // croak "no route $name";
    my $token = exists $opt{token} ? $opt{token} : $self->token($opt{as} // 'nobody');
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $self->{s}->api($route->{method} => $self->path($route, $opt{path}, $opt{query}),
        $opt{body}, token => $token, map { ($_ => $opt{$_}) } qw(headers ua quiet));
}

# call() that must have one of the statuses; returns the JSON.
sub must {
    my ($self, $expected, $name, %opt) = @_;
    my ($status, $json, $tx) = $self->call($name, %opt);
    return $json if grep { $_ == $status } ref $expected ? @$expected : $expected;
    croak "$name: $status instead of " . (ref $expected ? "@$expected" : $expected) . ': '
        . ($tx->res->body || '(no body)');
}

# call() as a test of status and code (undef: whatever); returns JSON and tx.
sub is {
    my ($self, $expected, $code, $what, $name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $json, $tx) = $self->call($name, %opt);
    my $got = $status . (defined $code ? ' ' . ($json->{code} // '-') : '');
    Test::More::is($got, $expected . (defined $code ? " $code" : ''), $what)
        or Test::More::diag($tx->res->body);
    return wantarray ? ($json, $tx) : $json;
}

1;

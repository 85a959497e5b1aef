package GoConnect::Routes;

# http/routes.def for tests: the same table that the module is built from.
#
#   for my $route (GoConnect::Routes::all()) {
#       # { name, method, path, credential, limit, lane, timeout, flags => {},
#       #   begin, finish, steps => [before, between, after],
#       #   params => [{ name, type }],
#       #   query => [field], body => [field] or undef }
#       # field: { name, type, min, max, presence, detail }
#   }

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Cluster;

my $FILE = "$GoConnect::Cluster::ROOT/ngx_goconnect_module/http/routes.def";

sub all {
    my @token = _tokens(_read());
    my @route;
    push @route, _route(_call(\@token)) while @token;
    return @route;
}

sub by_name { return map { $_->{name} => $_ } all() }

sub _read {
    open my $fh, '<', $FILE or croak "$FILE: $!";
    my $text = do { local $/; <$fh> };
    $text =~ s{/\*.*?\*/}{}gs;
    return $text;
}

sub _tokens {
    my ($text) = @_;
    my @token;
    while ($text =~ /\G\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_0-9]+)|([(),|]))/gc) {
        push @token, $1 // $2 // $3;
    }
    $text =~ /\G\s*\z/gc or croak 'routes.def: cannot read ' . substr $text, pos($text) // 0, 40;
    return @token;
}

# NAME ( argument, ... ): { name, args }; an argument is a list of strings, or
# such a call.
sub _call {
    my ($token) = @_;
    my $name = shift @$token;
    (shift(@$token) // '') eq '(' or croak "routes.def: no ( after $name";
    my @args = ([]);
    while (defined(my $one = shift @$token)) {
        return { name => $name, args => \@args } if $one eq ')';
        if ($one eq ',') {
            push @args, [];
        } elsif (@$token && $token->[0] eq '(') {
            unshift @$token, $one;
            push @{ $args[-1] }, _call($token);
        } elsif ($one ne '|') {
            push @{ $args[-1] }, $one;
        }
    }
    croak "routes.def: $name( has no end";
}

sub _string {
    my ($arg) = @_;
    return join '', map { /^"(.*)"$/s ? $1 : $_ } @$arg;
}

my @FIELD = qw(name type min max presence detail);

sub _fields {
    my ($arg) = @_;
    my $list = $arg->[0];
    return $list eq 'GC_BODY_OF_STEP' ? [] : undef if !ref $list;
    return [
        map {
            my $field = $_->[0];
            my %field;
            @field{@FIELD} = map { _string($_) } @{ $field->{args} };
            \%field;
        } @{ $list->{args} }
    ];
}

sub _route {
    my ($call) = @_;
    my @arg = @{ $call->{args} };
    $call->{name} eq 'GC_ROUTE' && @arg == 15
        or croak 'routes.def: a row with ' . @arg . ' columns';
    my %route;
    @route{qw(name method path credential limit lane timeout)} = map { _string($_) } @arg[0 .. 6];
    # CACHED(NETWORK, COMMON) is { CACHED => 'NETWORK COMMON' }
    $route{flags}  = { map { ref $_ ? ($_->{name} => join ' ', map { @$_ } @{ $_->{args} }) : ($_ => 1) }
        grep { $_ } @{ $arg[7] } };
    $route{begin}  = _string($arg[8]);
    $route{finish} = _string($arg[9]);
    $route{steps}  = [ map { _string($_) } @arg[10 .. 12] ];
    $route{query}  = _fields($arg[13]) // [];
    $route{body}   = _fields($arg[14]);
    $route{params} = [];
    push @{ $route{params} }, { name => $1, type => $2 }
        while $route{path} =~ /\{(\w+):(\w+)\}/g;
    return \%route;
}

1;

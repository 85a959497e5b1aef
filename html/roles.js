// Who is above whom. The server decides; this only hides what it would refuse.

const ROLES = ['member', 'moderator', 'admin', 'owner'];

const rank = (role) => ROLES.indexOf(role);

export const atLeast = (role, least) => rank(role) >= rank(least);

// the roles that somebody may give: below one's own, except that owners make owners
export const givable = (role) => ROLES.filter((other) => (
  role === 'owner' || rank(other) < rank(role)));

export const byRole = (a, b) => rank(b.role) - rank(a.role)
  || a.username.localeCompare(b.username);

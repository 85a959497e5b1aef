// Light, dark or as the system says; kept on this browser.

import { createStore } from '/store.js';

const KEY = 'goconnect.theme';
const THEMES = ['auto', 'light', 'dark'];

export const theme = createStore({ name: read() });


function read() {
  try {
    const name = localStorage.getItem(KEY);
    return THEMES.includes(name) ? name : 'auto';
  } catch {
    return 'auto';
  }
}


export function applyTheme() {
  const { name } = theme.get();

  if (name === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}


export function nextTheme() {
  const name = THEMES[(THEMES.indexOf(theme.get().name) + 1) % THEMES.length];

  try {
    localStorage.setItem(KEY, name);
  } catch { /* then for this page only */ }
  theme.set({ name });
  applyTheme();
}

// A value that can be watched. Every change makes a new top-level object, so
// that a watcher compares what it selected with ===.

import { useEffect, useReducer, useRef } from '/lib/preact.js';


export function createStore(initial) {
  let state = initial;
  const watchers = new Set();

  return {
    get: () => state,

    set(patch) {
      state = { ...state, ...patch };
      for (const watcher of [...watchers]) watcher(state);
    },

    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}


// The selected part of a store; the component renders again when it changes.
export function useStore(store, select) {
  const [, again] = useReducer((n) => n + 1, 0);
  const selected = select(store.get());
  const ref = useRef();

  ref.current = { select, selected };

  useEffect(() => {
    const check = (state) => {
      if (ref.current.select(state) !== ref.current.selected) again();
    };
    check(store.get());
    return store.watch(check);
  }, [store]);

  return selected;
}

// The document and every state it was in. A document never changes: an edit makes a new one.

const MAX_STEPS = 200;
const SAME_MS = 1000; // edits of one thing within this time are one step

export class History {
  constructor(present) {
    this.present = present;
    this.past = [];
    this.future = [];
    this.listeners = [];
    this.key = null;
    this.time = 0;
  }

  onChange(listener) { this.listeners.push(listener); }

  get canUndo() { return this.past.length > 0; }
  get canRedo() { return this.future.length > 0; }

  // A step that undo takes back. Steps of one key in a row, close together, are one.
  commit(changes, key = null) {
    const now = performance.now();
    const isSame = key !== null && key === this.key && now - this.time < SAME_MS && this.past.length > 0;
    if (!isSame) {
      this.past.push(this.present);
      if (this.past.length > MAX_STEPS) this.past.shift();
    }
    this.key = key;
    this.time = now;
    this.future = [];
    this.set({ ...this.present, ...changes });
  }

  // A change that belongs to the step before, such as what the network answers.
  amend(changes) { this.set({ ...this.present, ...changes }); }

  undo() { this.step(this.past, this.future); }
  redo() { this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length) return;
    to.push(this.present);
    this.key = null;
    this.set(from.pop());
  }

  // The next edit is a step of its own, whatever its key.
  close() { this.key = null; }

  set(present) {
    const before = this.present;
    this.present = present;
    for (const listener of this.listeners) listener(present, before);
  }
}

// LangGraph, a graph of the same three nodes, no model, nothing kept.
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const { StateGraph, Annotation, START, END } = require('@langchain/langgraph');
const { next, drive } = require('./message.js');
const node = (from, to) => (state) => ({ message: next(state.message, from, to) });
const graph = new StateGraph(Annotation.Root({ message: Annotation() }))
  .addNode('a', node('a', 'b')).addNode('b', node('b', 'c')).addNode('c', node('c', 'producer'))
  .addEdge(START, 'a').addEdge('a', 'b').addEdge('b', 'c').addEdge('c', END).compile();
const version = require('@langchain/langgraph/package.json').version;
for (const width of [1, 64]) await drive(`langgraph ${version}`, width, (message) => graph.invoke({ message }));

import { memoryKeyManager } from '../../../src/server/key-managers/memory.js';
import { testKeyManager } from './contract.js';

testKeyManager('memory', async () => memoryKeyManager());

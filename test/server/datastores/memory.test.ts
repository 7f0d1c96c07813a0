import { memoryDatastore } from '../../fakes/memory-datastore.js';
import { testDatastore } from './contract.js';

testDatastore('memory (the fake of the tests)', async () => memoryDatastore());
